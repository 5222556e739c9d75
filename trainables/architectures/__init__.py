"""Backbones of torchvision, timm and users, cut into stages."""

from trainables.architectures.architectures import find_architecture
from trainables.architectures.cuts import Cut
from trainables.architectures.image_sizes import check_image_size
from trainables.architectures.own_backbones import count_stages, load_own_pretrained
from trainables.architectures.own_info import describe_own_backbone

__all__ = [
    "Cut",
    "check_image_size",
    "count_stages",
    "describe_own_backbone",
    "find_architecture",
    "load_own_pretrained",
]
