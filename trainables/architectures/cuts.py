"""A backbone cut into stages, and the small modules that the cut needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Channels", "Cut", "FirstToken", "PatchTokens", "splice"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """Stages that run one after another; `pool` and flattening then give the features (B, F) for the classifier.

    `pool` has no parameters. If a backbone normalizes or projects after pooling, its pool is inside the last stage, so
    that freeze depth `all` includes it, and `pool` only passes features on.
    """

    stages: tuple[nn.Sequential, ...]
    pool: nn.Module

    def whole(self) -> nn.Sequential:
        """Return one module from normalized images (B, 3, H, W) to features (B, F)."""
        return nn.Sequential(*self.stages, self.pool, nn.Flatten())


class Channels(nn.Module):
    """Change of layout from channels last (B, H, W, C) to channels first (B, C, H, W)."""

    def forward(self, features: Tensor) -> Tensor:
        """Return feature maps (B, C, H, W)."""
        return features.permute(0, 3, 1, 2)


def splice(modules: Iterable[nn.Module]) -> nn.Sequential:
    """Return one sequence of all modules, without nested plain sequences and without identities."""
    flat: list[nn.Module] = []
    for module in modules:
        flat += module.children() if type(module) is nn.Sequential else [module]
    return nn.Sequential(*(module for module in flat if type(module) is not nn.Identity))


class FirstToken(nn.Module):
    """Choice of the first token, the class token."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Take tokens (B, N, C), and return the class token (B, C)."""
        return tokens[:, 0]


class PatchTokens(nn.Module):
    """Part of torchvision's ViT before its first layer: patches, class token, positions and dropout."""

    def __init__(self, conv: nn.Module, class_token: nn.Parameter, positions: nn.Parameter, drop: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.class_token = class_token
        self.positions = positions
        self.drop = drop

    def forward(self, images: Tensor) -> Tensor:
        """Take images (B, 3, H, W), and return tokens (B, 1 + N, C)."""
        patches = self.conv(images).flatten(2).transpose(1, 2)
        count = patches.shape[0]  # len() would fix the number of images in an exported program
        tokens = torch.cat([self.class_token.expand(count, -1, -1), patches], dim=1)
        dropped: Tensor = self.drop(tokens + self.positions)
        return dropped
