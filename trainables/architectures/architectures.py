"""Recipes for backbones of torchvision, timm and users: building, cutting into stages, and other image sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, cast

import timm
import torch
from torch import nn
from torchvision.models import get_model, get_model_weights

from search_spaces.errors import MeltpointError
from search_spaces.extensions import is_own
from trainables.architectures import timm_cuts
from trainables.architectures.cuts import Cut
from trainables.architectures.own_backbones import build_own, cut_own, own_skeleton
from trainables.architectures.shapes import Unfilled
from trainables.architectures.torchvision_cuts import FAMILIES, family_of, resize_vit

__all__ = ["Architecture", "find_architecture"]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A backbone without its classifier.

    Attributes:
        family: the group of models with the same design.
        build: makes a model for images of its native size, with new weights from torch's global generator.
        resize: lets a built model take images of another size in pixels; its weights keep their meaning.
        cut: cuts a built model into stages, which share the model's modules.
        head: names of the tensors that weight files hold for the classifier, which ours replaces.
        skeleton: a built model without numbers, on the meta device; never change it.
    """

    family: str
    build: Callable[[], nn.Module]
    resize: Callable[[nn.Module, int], None]
    cut: Callable[[nn.Module], Cut]
    head: tuple[str, ...]
    skeleton: nn.Module


@cache
def find_architecture(backbone: str) -> Architecture:
    """Return the backbone of that name.

    Raises:
        MeltpointError: there is none, or it cannot be cut into stages; the message gives the reason.
        OwnCodeError: the user's function cannot be used.
    """
    library, _, name = backbone.partition("/")
    if library == "torchvision" and (family := family_of(name)) is not None:
        return _find_torchvision(name, family)
    if library == "timm" and timm.is_model(name):
        return _find_timm(name)
    if is_own(backbone, "backbone"):
        return _find_own(backbone)
    raise MeltpointError(
        f"backbone must be timm/<model>, torchvision/<model> of {', '.join(FAMILIES)}, or own code ({backbone!r})"
    )


def _skeleton(build: Callable[[], nn.Module]) -> nn.Module:
    try:
        with torch.device("meta"), Unfilled():
            return build().eval()
    except (NotImplementedError, RuntimeError):  # some constructors compute with tensors
        with torch.random.fork_rng(devices=[]):
            return build().to("meta").eval()


def _find_torchvision(name: str, family: str) -> Architecture:
    info = FAMILIES[family]

    weights = cast(Any, get_model_weights(name)).DEFAULT
    native = {"image_size": weights.transforms().crop_size[0]} if family == "vit" else {}

    def build() -> nn.Module:
        model: nn.Module = get_model(name, weights=None, **native)
        model.set_submodule(info.classifier, nn.Identity())
        return model

    return Architecture(
        family=family,
        build=build,
        resize=resize_vit if family == "vit" else _leave_size,
        cut=info.cut,
        head=_weight_and_bias(info.classifier),
        skeleton=_skeleton(build),
    )


def _find_timm(name: str) -> Architecture:
    build = partial(_build_timm, name)
    model = _skeleton(build)
    config = cast(dict[str, Any], model.pretrained_cfg)
    try:
        plan = timm_cuts.plan_cut(model, config["input_size"][-1])
    except timm_cuts.UncutError as error:
        raise MeltpointError(f"backbone timm/{name} cannot be cut into stages: {error}") from error
    classifiers = config.get("classifier") or ()
    return Architecture(
        family=type(model).__module__.rpartition(".")[2],
        build=build,
        resize=_resize_timm,
        cut=partial(timm_cuts.cut_model, plan=plan),
        head=sum(map(_weight_and_bias, [classifiers] if isinstance(classifiers, str) else classifiers), ()),
        skeleton=model,
    )


def _find_own(name: str) -> Architecture:
    return Architecture(
        family=name.partition(":")[0],
        build=partial(build_own, name),
        resize=_leave_size,
        cut=cut_own,
        head=(),
        skeleton=own_skeleton(name),
    )


def _build_timm(name: str) -> nn.Module:
    model: nn.Module = timm.create_model(name, num_classes=0)
    return model


def _resize_timm(model: nn.Module, image_size: int) -> None:
    if hasattr(model, "set_input_size"):
        cast(Any, model).set_input_size(img_size=(image_size, image_size))


def _leave_size(_model: nn.Module, _image_size: int) -> None:
    """Do nothing: convolutions take any size."""


def _weight_and_bias(layer: str) -> tuple[str, ...]:
    return f"{layer}.weight", f"{layer}.bias"
