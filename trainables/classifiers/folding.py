"""Frozen normalisation merged into the convolution before it: the same function with one pass less over memory."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["fold_norms"]

_TOLERANCE = 1e-3


def fold_norms(stages: nn.Sequential, images: Tensor) -> nn.Sequential:
    """A copy of `stages`, in eval mode, whose BatchNorms are part of the convolutions that feed them.

    The scale and shift of a frozen BatchNorm are constants, so they multiply into the weights and bias before it
    (Jacob et al. 2018, section 3.2). Which convolution feeds which norm is seen by following `images` (B, 3, H, W),
    normalised. Where the result then differs from that of `stages` by more than rounding, or the layers cannot be
    followed, the copy is left unfolded.
    """
    plain = copy.deepcopy(stages).eval().requires_grad_(False)
    merged = copy.deepcopy(plain)
    with torch.no_grad():
        for conv, norm in _pairs(merged, images):
            _replace(merged, conv, fuse_conv_bn_eval(conv, norm))
            # timm's norms hold their activation.
            _replace(merged, norm, getattr(norm, "act", nn.Identity()))
        expected, found = plain(images), merged(images)
    scale = max(1.0, float(expected.abs().max()))
    same = bool((expected - found).abs().max() <= _TOLERANCE * scale)
    return merged if same else plain


def _pairs(stages: nn.Sequential, images: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions and the norms that took exactly what they gave, each used once."""
    calls: list[tuple[nn.Module, object, object]] = []

    def record(module: nn.Module, args: tuple[object, ...], gave: object) -> None:
        calls.append((module, args[0], gave))

    layers = [module for module in stages.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    hooks = [layer.register_forward_hook(record) for layer in layers]
    try:
        stages(images)
    finally:
        for hook in hooks:
            hook.remove()
    times = [module for module, _, _ in calls]
    return [
        (conv, norm)
        for (conv, _, gave), (norm, took, _) in pairwise(calls)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and took is gave
        if times.count(conv) == times.count(norm) == 1 and norm.track_running_stats
    ]


def _replace(root: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent in list(root.modules()):
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)
