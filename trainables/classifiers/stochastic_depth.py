"""Residual blocks that are skipped at random in training, the more often the deeper they lie."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, cast

from timm.layers import DropPath
from torch import nn
from torchvision.models.efficientnet import FusedMBConv, MBConv
from torchvision.models.mobilenetv2 import InvertedResidual as InvertedResidualV2
from torchvision.models.mobilenetv3 import InvertedResidual as InvertedResidualV3
from torchvision.models.regnet import ResBottleneckBlock
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops import StochasticDepth

from search_spaces.errors import MeltpointError
from trainables.architectures import find_architecture

__all__ = ["check_drop_path", "drop_paths", "residual_branches"]

_SLOTS = ("drop_path", "drop_path1", "drop_path2")
"""Where timm's blocks keep what drops their residual branches."""

Put = Callable[[nn.Module], None]


def drop_paths(stages: Iterable[nn.Module], rate: float, *, backbone: str, first: int = 0) -> None:
    """Have the blocks of the stages from `first` on skip their residual branches in training (Huang et al. 2016).

    Block l of L, counted over all stages, with probability rate l / L, and each image by itself; what is kept is
    divided by its share. Raises MeltpointError where no block is known to be residual.
    """
    blocks = _branches(stages, backbone)
    for place, (number, put) in enumerate(blocks, start=1):
        if number >= first:
            put(DropPath(rate * place / len(blocks)))


def check_drop_path(backbone: str) -> None:
    """Raise MeltpointError where no block of the backbone is known to be residual."""
    arch = find_architecture(backbone)
    _branches(arch.cut(copy.deepcopy(arch.skeleton)).stages, backbone)


def _branches(stages: Iterable[nn.Module], backbone: str) -> list[tuple[int, Put]]:
    """Each branch with the number of its stage."""
    found = [(number, put) for number, stage in enumerate(stages) for put in residual_branches(stage)]
    if not found:
        raise MeltpointError(f"{backbone}: dropout.drop_path needs residual blocks, and none of its layers is one")
    return found


def residual_branches(stage: nn.Module) -> list[Put]:
    """For each residual branch of a stage, in order, what puts a module at its end."""
    found: list[Put] = []
    for block in stage.modules():
        found += _of_timm(block) or _of_torchvision(block)
    return found


def _of_timm(block: nn.Module) -> list[Put]:
    """A block of timm that adds nothing to its input has a slot, and does not use it."""
    if getattr(block, "has_skip", True) is False:
        return []
    slots = [name for name in _SLOTS if hasattr(block, name)]
    empty = [name for name in slots if isinstance(getattr(block, name), nn.Identity | DropPath | type(None))]
    return [_attribute(block, name) for name in empty]


def _of_torchvision(block: nn.Module) -> list[Put]:
    if isinstance(block, BasicBlock):
        return [_behind(block, "bn2")]
    if isinstance(block, Bottleneck):
        return [_behind(block, "bn3")]
    if isinstance(block, ResBottleneckBlock):
        return [_behind(block, "f")]
    if isinstance(block, MBConv | FusedMBConv):
        return [_attribute(block, "stochastic_depth")] if block.use_res_connect else []
    if isinstance(block, InvertedResidualV2):
        return [_behind(block, "conv")] if block.use_res_connect else []
    if isinstance(block, InvertedResidualV3):
        return [_behind(block, "block")] if block.use_res_connect else []
    return [_attribute(block, name) for name, child in block.named_children() if isinstance(child, StochasticDepth)]


def _attribute(block: nn.Module, name: str) -> Put:
    def put(module: nn.Module) -> None:
        setattr(block, name, module)

    return put


def _behind(block: Any, name: str) -> Put:
    def put(module: nn.Module) -> None:
        setattr(block, name, nn.Sequential(cast(nn.Module, getattr(block, name)), module))

    return put
