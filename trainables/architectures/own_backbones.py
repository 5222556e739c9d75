"""Backbones of users: functions that return the stages, from the image to the features.

    def net(pretrained: bool = False) -> dict[str, nn.Module]:
        return {"stem": ..., "body": ...}

The stages run one after another, from normalized images (B, 3, H, W) to features (B, F) or maps (B, F, h, w), whose
mean is taken. The function's attributes `mean` and `std` normalize images; without them, ImageNet's values do.
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
from trainables.own_code import call_own, load_own, make_importable, own_error, wrong_result

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
    """Return the number of stages of the user's backbone `name`; its module may lie in `folder`.

    Raises:
        ValueError: the backbone cannot be used; the message gives the reason.
    """
    make_importable(folder)
    try:
        return len(own_skeleton(name))
    except OwnCodeError as error:
        raise ValueError(error.problem) from error


def build_own(name: str, *, pretrained: bool = False) -> nn.Sequential:
    """Call the user's function, and return its stages under its own names; weights use torch's global generator.

    Raises:
        OwnCodeError: the function is missing, raises, or does not return modules in order.
    """
    arguments = {"pretrained": pretrained} if can_be_pretrained(name) else {}
    return _in_order(name, call_own(name, "backbone", partial(load_own(name, "backbone"), **arguments)))


def build_seeded(name: str, *, pretrained: bool = False) -> nn.Sequential:
    """Return what `build_own` makes with a fixed seed; torch's global generator keeps its state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_own(name, pretrained=pretrained)


def can_be_pretrained(name: str) -> bool:
    """Return True if the function of that name has a parameter `pretrained`."""
    try:
        return "pretrained" in inspect.signature(load_own(name, "backbone")).parameters
    except (TypeError, ValueError):  # not every callable has a signature
        return False


@cache
def own_skeleton(name: str) -> nn.Sequential:
    """Return the stages without numbers, on the meta device; never change them.

    Raises:
        OwnCodeError: as `build_own` does, or if stages share parameters, or two calls return the same modules.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                first, second = build_own(name), build_own(name)
        except OwnCodeError:  # some functions compute with tensors
            first, second = build_own(name), build_own(name)
    _refuse_shared(name, first, second)
    return first.to("meta").eval()


def load_own_pretrained(name: str) -> Mapping[str, Tensor]:
    """Return the tensors that the function loads with `pretrained=True`, by the modules' own names.

    Raises:
        OwnCodeError: the function has no such parameter, or does not use it.
    """
    if not can_be_pretrained(name):
        problem = "has no parameter pretrained, so no pretrained weights: use weights: random, or a file"
        raise own_error(name, "backbone", problem)
    random, pretrained = (build_seeded(name, pretrained=value).state_dict() for value in (False, True))
    if random.keys() == pretrained.keys() and all(torch.equal(random[key], pretrained[key]) for key in random):
        raise own_error(name, "backbone", "must load weights if pretrained is true, and gives the same without")
    return pretrained


def cut_own(model: nn.Module) -> Cut:
    """Cut a model that `build_own` made into its stages."""
    return Cut(stages=tuple(splice([stage]) for stage in cast(nn.Sequential, model)), pool=_MeanOfMaps())


class _MeanOfMaps(nn.Module):
    """Mean of maps (B, F, H, W), as (B, F, 1, 1); vectors (B, F) pass unchanged."""

    def forward(self, features: Tensor) -> Tensor:
        return features if features.ndim == 2 else features.mean(dim=(2, 3), keepdim=True)


def _in_order(name: str, returned: object) -> nn.Sequential:
    """Return one sequence of the stages, by the function's names for them, else by their numbers."""
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
    """Refuse shared parameters: frozen stages would freeze others, and trained trials would change later ones."""
    owners: dict[int, int] = {}
    for number, stage in enumerate(first, start=1):
        for own, parameter in stage.named_parameters():
            other = owners.setdefault(id(parameter), number)
            if other != number:
                raise own_error(name, "backbone", f"its stages {other} and {number} must not share {own}")
    if any(id(parameter) in owners for parameter in second.parameters()):
        raise own_error(name, "backbone", "must make new modules at each call, and returned the same again")
