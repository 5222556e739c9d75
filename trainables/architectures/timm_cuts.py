"""Cuts of timm's models: any model that declares its groups is cut into stages along the way of one image.

timm's `group_matcher` groups the parameters, from the image to the features. A forward pass on the meta device (shapes
only, no arithmetic) then shows the order in which the modules that hold them are called. If each module takes exactly
the output of the one before it, the modules can run one after another without the model's own code. The model's own
code stays for the part before the first such module (tokens, positions), in a shell: a copy of the model without the
modules that run by themselves.
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
    """Instructions for `cut_model`.

    Attributes:
        stages: for each stage the names of the modules that run by themselves, in order.
        head: names of the modules between the feature maps and the classifier.
        shelled: True if the model's own code runs before `stages`; it belongs to the first stage.
        tail: True if the part behind the feature maps holds parameters; it belongs to the last stage.
        plain_pool: True if the part behind the feature maps is the mean of maps (B, C, H, W) and nothing else.
        features: number of features that the classifier sees.
    """

    stages: tuple[tuple[str, ...], ...]
    head: tuple[str, ...]
    shelled: bool
    tail: bool
    plain_pool: bool
    features: int


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A call of a module.

    Attributes:
        name: the module's name.
        joined: True if the only argument was the output of the call before.
        single: True if there was one argument.
        from_image: True if the first argument was the image.
    """

    name: str
    joined: bool
    single: bool
    from_image: bool


class _Skip(nn.Module):
    """Placeholder for a module that runs by itself."""

    def forward(self, features: Tensor, *_: object, **__: object) -> Tensor:
        return features


class _Front(nn.Module):
    """Part of the model before its first module that runs by itself."""

    def __init__(self, shell: nn.Module) -> None:
        super().__init__()
        self.shell = shell

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = cast(Any, self.shell).forward_features(images)
        return features


class _Tail(nn.Module):
    """Part of the model between its feature maps and its classifier."""

    def __init__(self, shell: nn.Module) -> None:
        super().__init__()
        self.shell = shell

    def forward(self, features: Tensor) -> Tensor:
        pooled: Tensor = cast(Any, self.shell).forward_head(features, pre_logits=True)
        return pooled


def plan_cut(model: nn.Module, image_size: int) -> CutPlan:
    """Plan the cut of `model`, which must be on the meta device, in eval mode and without a classifier.

    Args:
        model: a timm model.
        image_size: height and width of an image in pixels.

    Raises:
        UncutError: the model cannot be cut; the message gives the reason.
    """
    stage_of = parameter_stages(model)
    units = _units(model, stage_of)
    body, head, shape, features = _follow(model, units, image_size)
    first = _first_alone(body)
    stages = _staged(body[first:], units)
    shelled = first > 0 or not body[0].from_image
    head_stages = {stage for call in head for stage in units[call.name]}
    late = {stage for name, stage in stage_of.items() if not any(name.startswith(f"{unit}.") for unit in units)}
    tail = max(head_stages, default=None)
    if shelled and 0 not in stages:
        stages[0] = []
    if tail is not None:
        stages.setdefault(tail, [])
    before = {stage for call in body[:first] for stage in units[call.name]}
    refuse_unless(before <= {0}, "modules behind its first stage hand on more than one tensor")
    refuse_unless(late <= ({0} if shelled else set()), "parameters outside its modules are used late")
    refuse_unless(tail is None or tail == max(stages), "its head has parameters of an early stage")
    refuse_unless(sorted(stages) == list(range(max(stage_of.values()) + 1)), "not every stage has modules of its own")
    is_plain = tail is None and shape[1] == features and len(shape) == 4 and _is_mean(model, head)
    return CutPlan(
        stages=tuple(tuple(stages[number]) for number in sorted(stages)),
        head=tuple(call.name for call in head),
        shelled=shelled,
        tail=tail is not None,
        plain_pool=is_plain,
        features=features,
    )


def cut_model(model: nn.Module, plan: CutPlan) -> Cut:
    """Cut `model` by the plan that was made for it; the model itself cannot be used afterwards."""
    alone = {name for stage in plan.stages for name in stage}
    parts = [[model.get_submodule(name) for name in stage] for stage in plan.stages]
    if plan.shelled:
        parts[0].insert(0, _Front(_shell(model, alone | set(plan.head))))
    pool: nn.Module = nn.AdaptiveAvgPool2d(1)
    if not plan.plain_pool:
        pool = _Tail(_shell(model, _outside_head(model, plan), bare=True))
    if plan.tail:
        parts[-1].append(pool)
        pool = nn.Identity()
    return Cut(stages=tuple(splice(part) for part in parts), pool=pool)


def _outside_head(model: nn.Module, plan: CutPlan) -> set[str]:
    """Return the names of the modules that the head does not use."""
    kept = {part for name in plan.head for part in _and_parents(name)}
    return {
        name
        for name, _ in model.named_modules()
        if name and name not in kept and (name.rpartition(".")[0] in kept - set(plan.head) or "." not in name)
    }


def _and_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _units(model: nn.Module, stage_of: Mapping[str, int], prefix: str = "") -> dict[str, frozenset[int]]:
    """Return the largest modules that hold parameters of at most one stage, and that stage."""
    units: dict[str, frozenset[int]] = {}
    for name, child in model.named_children():
        stages = frozenset(stage for full, stage in stage_of.items() if full.startswith(f"{prefix}{name}."))
        if len(stages) > 1:
            units |= _units(child, stage_of, f"{prefix}{name}.")
        else:
            units[prefix + name] = stages
    return units


def _follow(
    model: nn.Module, units: Iterable[str], image_size: int
) -> tuple[list[_Call], list[_Call], torch.Size, int]:
    """Return the calls up to the feature maps, the calls behind them, the maps' shape and the number of features."""
    images = torch.empty(2, 3, image_size, image_size, device="meta")
    calls: list[_Call] = []
    last: list[object] = [images]

    def record(name: str) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: object) -> None:
            extra = [value for value in (*args[1:], *kwargs.values()) if value is not None]
            single = bool(args) and not extra
            first = args[0] if args else None
            calls.append(
                _Call(name=name, single=single, joined=single and first is last[0], from_image=first is images)
            )
            last[0] = output

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
    """Return the position from which on each call takes exactly the output of the call before."""
    first = len(body)
    while first > 0 and body[first - 1].joined:
        first -= 1
    # The first module of the chain may take an output of the model's own code.
    return first - 1 if first > 0 and body[first - 1].single else first


def _staged(chain: Iterable[_Call], units: Mapping[str, frozenset[int]]) -> dict[int, list[str]]:
    """Return the chain's names by stage; a module without parameters joins the stage before it."""
    stages: dict[int, list[str]] = {}
    stage = 0
    for call in chain:
        own_stage = next(iter(units[call.name]), stage)
        refuse_unless(own_stage >= stage, "its stages do not follow one another")
        stage = own_stage
        stages.setdefault(stage, []).append(call.name)
    return stages


def _is_mean(model: nn.Module, head: Iterable[_Call]) -> bool:
    """Return True if the head without its classifier is one average pooling."""
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
    """Return a copy of `model` that skips `gone` and shares all other modules; `bare` drops its own parameters."""
    shell = copy.copy(model)
    shell._modules = {}
    if bare:
        shell._parameters, shell._buffers = {}, {}
    for name, child in model.named_children():
        inner = [path.removeprefix(f"{name}.") for path in gone if path.startswith(f"{name}.")]
        if name in gone:
            shell._modules[name] = _Skip()
        else:
            shell._modules[name] = _shell(child, inner, bare=bare) if inner else child
    return shell
