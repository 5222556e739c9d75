"""Backbones of the user's own: a function that returns the stages, from the image to the features.

    def net(pretrained: bool = False) -> dict[str, nn.Module]:
        return {"stem": ..., "body": ...}

The stages run one after another, from normalised images (B, 3, H, W) to features (B, F) or maps (B, F, h, w), whose
mean is taken. Attributes of the function may say how images are normalised: `mean`, `std`, else ImageNet's.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from trainables.architectures.cuts import Cut, splice
from trainables.errors import OwnCodeError
from trainables.own_code import call_own, importable_from, load_own, own_error, wrong_result

__all__ = [
    "build_own",
    "build_seeded",
    "can_be_pretrained",
    "count_stages",
    "cut_own",
    "load_own_pretrained",
    "own_skeleton",
]

_NEEDED: Final = "its stages in order: a list, a dict or a plain nn.Sequential of modules"


def count_stages(name: str, folder: Path) -> int:
    """How many stages the own backbone `name` has; its module may lie in `folder`.

    Raises ValueError saying what is wrong with it.
    """
    importable_from(folder)
    try:
        return len(own_skeleton(name))
    except OwnCodeError as error:
        raise ValueError(error.problem) from error


def build_own(name: str, *, pretrained: bool = False) -> nn.Sequential:
    """The stages as the function makes them, under its own names, with what torch's global generator draws.

    Raises OwnCodeError where the function is missing, raises, or returns anything but new modules in order.
    """
    asked = {"pretrained": pretrained} if can_be_pretrained(name) else {}
    return _in_order(name, call_own(name, "backbone", partial(load_own(name, "backbone"), **asked)))


def build_seeded(name: str, *, pretrained: bool = False) -> nn.Sequential:
    """What `build_own` makes, the same each time; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_own(name, pretrained=pretrained)


def can_be_pretrained(name: str) -> bool:
    """Whether the function of that name can be asked for pretrained weights."""
    try:
        return "pretrained" in inspect.signature(load_own(name, "backbone")).parameters
    except (TypeError, ValueError):  # not every callable has a signature
        return False


@cache
def own_skeleton(name: str) -> nn.Sequential:
    """The stages with shapes only, on the meta device; never change them. Raises OwnCodeError as `build_own`."""
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                first, second = build_own(name), build_own(name)
        except OwnCodeError:  # some functions compute with tensors
            first, second = build_own(name), build_own(name)
    _refuse_shared(name, first, second)
    return first.to("meta").eval()


def load_own_pretrained(name: str) -> Mapping[str, Tensor]:
    """The tensors that the function loads when it is called with `pretrained=True`, by the modules' own names.

    Raises OwnCodeError where it has no such parameter, or pays no heed to it.
    """
    if not can_be_pretrained(name):
        problem = "has no parameter pretrained, so no pretrained weights: give weights: random, or a file"
        raise own_error(name, "backbone", problem)
    random, pretrained = (build_seeded(name, pretrained=asked).state_dict() for asked in (False, True))
    if random.keys() == pretrained.keys() and all(torch.equal(random[key], pretrained[key]) for key in random):
        raise own_error(name, "backbone", "must load weights where pretrained is true, and gives the same without")
    return pretrained


def cut_own(model: nn.Module) -> Cut:
    """The stages of a built own backbone."""
    return Cut(stages=tuple(splice([stage]) for stage in cast(nn.Sequential, model)), pool=_MeanOfMaps())


class _MeanOfMaps(nn.Module):
    """Maps (B, F, H, W) to their mean (B, F, 1, 1); vectors (B, F) as they are."""

    def forward(self, features: Tensor) -> Tensor:
        return features if features.ndim == 2 else features.mean(dim=(2, 3), keepdim=True)


def _in_order(name: str, returned: object) -> nn.Sequential:
    """One sequence of the stages, named as the function names them, else by their numbers."""
    stages: list[tuple[str, object]]
    if isinstance(returned, Mapping | nn.ModuleDict):
        stages = [(str(key), stage) for key, stage in returned.items()]
    elif isinstance(returned, list | tuple | nn.ModuleList) or _is_plain(returned):
        stages = [(str(number), stage) for number, stage in enumerate(cast(Any, returned))]
    else:
        raise wrong_result(name, "backbone", _NEEDED, f"a {type(returned).__name__}")
    modules = OrderedDict((key, stage) for key, stage in stages if isinstance(stage, nn.Module))
    other = next((stage for _, stage in stages if not isinstance(stage, nn.Module)), None)
    if len(modules) < len(stages):
        raise wrong_result(name, "backbone", _NEEDED, f"a {type(other).__name__} among them")
    if not modules:
        raise wrong_result(name, "backbone", "at least one stage", "none")
    unnamable = next((key for key in modules if not key.isidentifier() and not key.isdigit()), None)
    if unnamable is not None:
        raise wrong_result(name, "backbone", "stages named by letters, digits and _", f"one named {unnamable!r}")
    made = nn.Sequential(modules)
    lazy = next((key for key, parameter in made.named_parameters() if nn.parameter.is_lazy(parameter)), None)
    if lazy is not None:
        raise wrong_result(name, "backbone", "parameters whose shapes are known", f"{lazy} of a lazy module")
    return made


def _is_plain(returned: object) -> bool:
    return isinstance(returned, nn.Sequential) and type(returned).forward is nn.Sequential.forward


def _refuse_shared(name: str, first: nn.Sequential, second: nn.Sequential) -> None:
    """Freezing one stage must leave the others alone, and training one trial the trials after it."""
    owners: dict[int, int] = {}
    for number, stage in enumerate(first, start=1):
        for own, parameter in stage.named_parameters():
            other = owners.setdefault(id(parameter), number)
            if other != number:
                raise own_error(name, "backbone", f"its stages {other} and {number} must not share {own}")
    if any(id(parameter) in owners for parameter in second.parameters()):
        raise own_error(name, "backbone", "must make new modules whenever it is called, and returned the same again")
