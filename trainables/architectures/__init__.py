"""Backbones of torchvision, timm and users, cut into stages."""

from trainables.architectures.architectures import architecture
from trainables.architectures.cuts import Cut
from trainables.architectures.image_sizes import check_image_size
from trainables.architectures.own_backbones import count_stages, own_pretrained
from trainables.architectures.own_info import own_info

__all__ = ["Cut", "architecture", "check_image_size", "count_stages", "own_info", "own_pretrained"]
