"""BatchNorms folded into the convolutions before them: the same function with one pass less over memory."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["fold_norms"]

_TOLERANCE = 1e-3


def fold_norms(stages: nn.Sequential, images: Tensor) -> nn.Sequential:
    """Return a copy of `stages`, in eval mode, with each BatchNorm folded into the convolution that feeds it.

    A frozen BatchNorm scales and shifts by constants, which become part of the weights and bias before it (Jacob et
    al. 2018, section 3.2). A pass over `images` (B, 3, H, W), normalized, shows which convolution feeds which norm. If
    the folded copy gives another result than `stages`, apart from rounding, an unfolded copy is returned.
    """
    plain = copy.deepcopy(stages).eval().requires_grad_(False)
    merged = copy.deepcopy(plain)
    with torch.no_grad():
        for conv, norm in _pairs(merged, images):
            _replace(merged, conv, fuse_conv_bn_eval(conv, norm))
            # A norm of timm contains its activation.
            _replace(merged, norm, getattr(norm, "act", nn.Identity()))
        expected, actual = plain(images), merged(images)
    scale = max(1.0, float(expected.abs().max()))
    is_same = bool((expected - actual).abs().max() <= _TOLERANCE * scale)
    return merged if is_same else plain


def _pairs(stages: nn.Sequential, images: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Return the convolutions, each with the norm that takes exactly its output; both are used once."""
    calls: list[tuple[nn.Module, object, object]] = []

    def record(module: nn.Module, args: tuple[object, ...], output: object) -> None:
        calls.append((module, args[0], output))

    layers = [module for module in stages.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    hooks = [layer.register_forward_hook(record) for layer in layers]
    try:
        stages(images)
    finally:
        for hook in hooks:
            hook.remove()
    used = [module for module, _, _ in calls]
    return [
        (conv, norm)
        for (conv, _, output), (norm, taken, _) in pairwise(calls)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and taken is output
        if used.count(conv) == used.count(norm) == 1 and norm.track_running_stats
    ]


def _replace(root: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent in list(root.modules()):
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)
