"""Stochastic depth: residual blocks that are skipped at random in training, deeper blocks more often."""

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
"""Attributes in which timm's blocks keep the modules that drop their residual branches."""

Put = Callable[[nn.Module], None]


def drop_paths(stages: Iterable[nn.Module], rate: float, *, backbone: str, first: int = 0) -> None:
    """Let the blocks of the stages from `first` on skip their residual branches in training (Huang et al. 2016).

    Block l of L, counted over all stages, is skipped with probability rate * l / L, for each image by itself. A branch
    that is kept is divided by the probability to keep it.

    Raises:
        MeltpointError: no block is known to be residual.
    """
    blocks = _branches(stages, backbone)
    for place, (number, put) in enumerate(blocks, start=1):
        if number >= first:
            put(DropPath(rate * place / len(blocks)))


def check_drop_path(backbone: str) -> None:
    """Raise MeltpointError if no block of the backbone is known to be residual."""
    arch = find_architecture(backbone)
    _branches(arch.cut(copy.deepcopy(arch.skeleton)).stages, backbone)


def _branches(stages: Iterable[nn.Module], backbone: str) -> list[tuple[int, Put]]:
    """Return a setter for each residual branch, with the number of its stage."""
    branches = [(number, put) for number, stage in enumerate(stages) for put in residual_branches(stage)]
    if not branches:
        raise MeltpointError(f"{backbone}: dropout.drop_path needs residual blocks, and none of its layers is one")
    return branches


def residual_branches(stage: nn.Module) -> list[Put]:
    """Return for each residual branch of a stage, in order, a function that puts a module at its end."""
    branches: list[Put] = []
    for block in stage.modules():
        branches += _timm_branches(block) or _torchvision_branches(block)
    return branches


def _timm_branches(block: nn.Module) -> list[Put]:
    """Return no branch for a timm block that does not add its input: it has a slot, but does not use it."""
    if getattr(block, "has_skip", True) is False:
        return []
    slots = [name for name in _SLOTS if hasattr(block, name)]
    empty = [name for name in slots if isinstance(getattr(block, name), nn.Identity | DropPath | type(None))]
    return [_attribute(block, name) for name in empty]


def _torchvision_branches(block: nn.Module) -> list[Put]:
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
