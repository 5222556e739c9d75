"""Any of timm's models that declares its groups, cut into stages by following one image through it.

timm's `group_matcher` says which parameters belong together, from the image to the features. A forward pass on
the meta device (shapes only, no arithmetic) then shows in which order the modules that hold them are called.
Where each takes exactly what the one before it gave, they can run one after another by themselves. What comes
before the first such module (tokens, positions) is kept as the model's own code, in a shell of it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import torch
from timm.layers import ClassifierHead, SelectAdaptivePool2d
from torch import Tensor, nn

from trainables.architectures.cuts import Cut, splice
from trainables.architectures.shapes import ShapesOnly
from trainables.architectures.timm_groups import UncutError, parameter_stages, refuse_unless

__all__ = ["CutPlan", "UncutError", "cut_model", "plan_cut"]

_HARMLESS: Final = (nn.Identity, nn.Dropout, nn.Flatten, nn.AdaptiveAvgPool2d, ClassifierHead)


@dataclass(frozen=True, kw_only=True)
class CutPlan:
    """How a model is cut: for each stage the names of the modules that run by themselves, in order.

    head: the modules between the feature maps and the classifier.
    shelled: what runs before the first of `stages` stays the model's own code, in the first stage.
    tail: what runs behind the feature maps holds parameters and so belongs to the last stage.
    plain_pool: it is the mean of maps (B, C, H, W) and nothing else.
    features: how many the classifier sees.
    """

    stages: tuple[tuple[str, ...], ...]
    head: tuple[str, ...]
    shelled: bool
    tail: bool
    plain_pool: bool
    features: int


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A module was called. `joined`: with what the call before it gave, and nothing else."""

    name: str
    joined: bool
    single: bool
    from_image: bool


class _Skip(nn.Module):
    """In the place of a module that runs by itself."""

    def forward(self, features: Tensor, *_: object, **__: object) -> Tensor:
        return features


class _Front(nn.Module):
    """What the model does before its first module that runs by itself."""

    def __init__(self, shell: nn.Module) -> None:
        super().__init__()
        self.shell = shell

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = cast(Any, self.shell).forward_features(images)
        return features


class _Tail(nn.Module):
    """What the model does between its feature maps and its classifier."""

    def __init__(self, shell: nn.Module) -> None:
        super().__init__()
        self.shell = shell

    def forward(self, features: Tensor) -> Tensor:
        pooled: Tensor = cast(Any, self.shell).forward_head(features, pre_logits=True)
        return pooled


def plan_cut(model: nn.Module, image_size: int) -> CutPlan:
    """How to cut `model`, which is on the meta device, in eval mode and without a classifier.

    Raises UncutError saying why where it cannot be cut.
    """
    stage_of = parameter_stages(model)
    units = _units(model, stage_of)
    body, head, shape, features = _follow(model, units, image_size)
    first = _first_alone(body)
    stages = _staged(body[first:], units)
    shelled = first > 0 or not body[0].from_image
    behind = {stage for call in head for stage in units[call.name]}
    loose = {stage for name, stage in stage_of.items() if not any(name.startswith(f"{unit}.") for unit in units)}
    tail = max(behind, default=None)
    if shelled and 0 not in stages:
        stages[0] = []
    if tail is not None:
        stages.setdefault(tail, [])
    before = {stage for call in body[:first] for stage in units[call.name]}
    refuse_unless(before <= {0}, "modules behind its first stage hand on more than one tensor")
    refuse_unless(loose <= ({0} if shelled else set()), "parameters outside its modules are used late")
    refuse_unless(tail is None or tail == max(stages), "its head has parameters of an early stage")
    refuse_unless(sorted(stages) == list(range(max(stage_of.values()) + 1)), "not every stage has modules of its own")
    plain = tail is None and shape[1] == features and len(shape) == 4 and _is_mean(model, head)
    return CutPlan(
        stages=tuple(tuple(stages[number]) for number in sorted(stages)),
        head=tuple(call.name for call in head),
        shelled=shelled,
        tail=tail is not None,
        plain_pool=plain,
        features=features,
    )


def cut_model(model: nn.Module, how: CutPlan) -> Cut:
    """The parts of `model`, which `how` was made for; the model itself is of no use afterwards."""
    alone = {name for stage in how.stages for name in stage}
    parts = [[model.get_submodule(name) for name in stage] for stage in how.stages]
    if how.shelled:
        parts[0].insert(0, _Front(_shell(model, alone | set(how.head))))
    pool: nn.Module = nn.AdaptiveAvgPool2d(1)
    if not how.plain_pool:
        pool = _Tail(_shell(model, _others(model, how), bare=True))
    if how.tail:
        parts[-1].append(pool)
        pool = nn.Identity()
    return Cut(stages=tuple(splice(part) for part in parts), pool=pool)


def _others(model: nn.Module, how: CutPlan) -> set[str]:
    """The modules that the head does not use."""
    kept = {part for name in how.head for part in _and_parents(name)}
    return {
        name
        for name, _ in model.named_modules()
        if name and name not in kept and (name.rpartition(".")[0] in kept - set(how.head) or "." not in name)
    }


def _and_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _units(model: nn.Module, stage_of: Mapping[str, int], prefix: str = "") -> dict[str, frozenset[int]]:
    """The largest modules that hold parameters of at most one stage, and that stage."""
    units: dict[str, frozenset[int]] = {}
    for name, child in model.named_children():
        stages = frozenset(stage for own, stage in stage_of.items() if own.startswith(f"{prefix}{name}."))
        if len(stages) > 1:
            units |= _units(child, stage_of, f"{prefix}{name}.")
        else:
            units[prefix + name] = stages
    return units


def _follow(
    model: nn.Module, units: Iterable[str], image_size: int
) -> tuple[list[_Call], list[_Call], torch.Size, int]:
    """The calls up to the feature maps, those behind them, the maps' shape and the number of features."""
    images = torch.empty(2, 3, image_size, image_size, device="meta")
    calls: list[_Call] = []
    last: list[object] = [images]

    def record(name: str) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], gave: object) -> None:
            extra = [value for value in (*args[1:], *kwargs.values()) if value is not None]
            single = bool(args) and not extra
            given = args[0] if args else None
            calls.append(
                _Call(name=name, single=single, joined=single and given is last[0], from_image=given is images)
            )
            last[0] = gave

        return hook

    hooks = [model.get_submodule(name).register_forward_hook(record(name), with_kwargs=True) for name in units]
    run = cast(Any, model)
    try:
        with torch.no_grad(), ShapesOnly():
            maps = run.forward_features(images)
            body = len(calls)
            refuse_unless(body > 0 and maps is last[0], "its feature maps are not what its last module gives")
            features = run.forward_head(maps, pre_logits=True)
    except (AttributeError, TypeError, NotImplementedError) as error:
        raise UncutError(f"its forward pass cannot be followed ({str(error).splitlines()[0]})") from error
    finally:
        for hook in hooks:
            hook.remove()
    names = [call.name for call in calls]
    refuse_unless(len(set(names)) == len(names), "a module is used twice")
    refuse_unless(isinstance(features, Tensor) and features.ndim == 2, "its features are not one vector an image")
    return calls[:body], calls[body:], maps.shape, int(features.shape[1])


def _first_alone(body: list[_Call]) -> int:
    """From which call on each takes exactly what the one before it gave."""
    first = len(body)
    while first > 0 and body[first - 1].joined:
        first -= 1
    # The first module of the chain may well take what the model's own code made for it.
    return first - 1 if first > 0 and body[first - 1].single else first


def _staged(chain: Iterable[_Call], units: Mapping[str, frozenset[int]]) -> dict[int, list[str]]:
    """The chain's names by stage; what has no parameters goes with what comes before it."""
    stages: dict[int, list[str]] = {}
    stage = 0
    for call in chain:
        here = next(iter(units[call.name]), stage)
        refuse_unless(here >= stage, "its stages do not follow one another")
        stage = here
        stages.setdefault(stage, []).append(call.name)
    return stages


def _is_mean(model: nn.Module, head: Iterable[_Call]) -> bool:
    """Whether the head without its classifier is one average pooling."""
    pools = 0
    for call in head:
        for module in model.get_submodule(call.name).modules():
            if isinstance(module, SelectAdaptivePool2d):
                pools += 1
                if module.pool_type != "avg":
                    return False
            elif not isinstance(module, _HARMLESS):
                return False
    return pools == 1


def _shell(model: nn.Module, gone: Iterable[str], *, bare: bool = False) -> nn.Module:
    """`model` with `gone` skipped; the modules left are shared. `bare`: without parameters of its own."""
    shell = copy.copy(model)
    shell._modules = {}
    if bare:
        shell._parameters, shell._buffers = {}, {}
    for name, child in model.named_children():
        inner = [one.removeprefix(f"{name}.") for one in gone if one.startswith(f"{name}.")]
        if name in gone:
            shell._modules[name] = _Skip()
        else:
            shell._modules[name] = _shell(child, inner, bare=bare) if inner else child
    return shell
