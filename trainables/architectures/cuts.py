"""A backbone cut into stages, and the small modules that a cut needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Channels", "Cut", "FirstToken", "PatchTokens", "splice"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """The stages in turn, then `pool` and flattening, compute the features (B, F) that the classifier sees.

    `pool` has no parameters. Where a backbone norms or projects after pooling, its pool is inside the last
    stage (so that `all` freezes that too), and `pool` here only passes features on.
    """

    stages: tuple[nn.Sequential, ...]
    pool: nn.Module

    def whole(self) -> nn.Sequential:
        """Images (B, 3, H, W), normalised, to features (B, F)."""
        return nn.Sequential(*self.stages, self.pool, nn.Flatten())


class Channels(nn.Module):
    """Feature maps with channels last (B, H, W, C) to channels first (B, C, H, W)."""

    def forward(self, features: Tensor) -> Tensor:
        return features.permute(0, 3, 1, 2)


def splice(modules: Iterable[nn.Module]) -> nn.Sequential:
    """One sequence of all modules; plain sequences among them are opened, modules that do nothing left out."""
    flat: list[nn.Module] = []
    for module in modules:
        flat += module.children() if type(module) is nn.Sequential else [module]
    return nn.Sequential(*(module for module in flat if type(module) is not nn.Identity))


class FirstToken(nn.Module):
    """Tokens (B, N, C) to the first one, the class token (B, C)."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, 0]


class PatchTokens(nn.Module):
    """torchvision's ViT before its first layer: images (B, 3, H, W) to tokens (B, 1 + N, C)."""

    def __init__(self, conv: nn.Module, class_token: nn.Parameter, positions: nn.Parameter, drop: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.class_token = class_token
        self.positions = positions
        self.drop = drop

    def forward(self, images: Tensor) -> Tensor:
        patches = self.conv(images).flatten(2).transpose(1, 2)
        count = patches.shape[0]  # len() would fix the number of images in an exported program
        tokens = torch.cat([self.class_token.expand(count, -1, -1), patches], dim=1)
        dropped: Tensor = self.drop(tokens + self.positions)
        return dropped
