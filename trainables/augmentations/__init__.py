"""Augmented views of images, and mixing of images and labels."""

from trainables.augmentations.mixing import Blend, draw_blend
from trainables.augmentations.views import distinct_views, find_policy, view_kinds

__all__ = ["Blend", "distinct_views", "draw_blend", "find_policy", "view_kinds"]
