"""Augmented views of images, and mixing of images and labels."""

from trainables.augmentations.mixing import Blend, draw_blend
from trainables.augmentations.views import count_distinct_views, draw_views, find_policy, group_by_view_kind

__all__ = ["Blend", "count_distinct_views", "draw_blend", "draw_views", "find_policy", "group_by_view_kind"]
