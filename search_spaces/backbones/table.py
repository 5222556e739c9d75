"""The backbones that a recipe may name, with the facts about them that the program needs without torch.

`backbones.tsv` has a row for each backbone, `refused.tsv` a row for each model that cannot be used. `make backbones`
writes both files from the models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Final, Literal, cast

from search_spaces.errors import MeltpointError, did_you_mean
from search_spaces.extensions import count_own_stages

Sizing = Literal["any", "resized", "fixed"]
Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True, kw_only=True)
class BackboneInfo:
    """A feature extractor, divided into stages from the image to the features.

    Args:
        family: the design; the name of its module in the library.
        parameters: their number, without the classifier.
        multiply_adds: their number for an image of `input_size`, without the classifier.
        input_size: height and width in pixels of the training images.
        sizing: `any`: all image sizes; `resized`: positions are interpolated for another size; `fixed`: no other size.
        features: length of the vector that the classifier receives.
        map_size: height and width of the feature maps (B, features, h, w) before pooling, for images of
            `input_size`; 0 if the last stage gives no maps.
        mean, std: constants that normalise RGB values in 0..1.
        interpolation: method by which the training images were resized.
        weights_source: `package:NAME` on the package registry, `url:` of a file, or `hub:NAME` on Hugging Face's
            hub; empty if no pretrained weights are known.
    """

    name: str
    family: str
    stages: int
    features: int
    map_size: int
    parameters: int
    multiply_adds: int
    input_size: int
    sizing: Sizing
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Interpolation
    weights_source: str

    @property
    def weights_package(self) -> str | None:
        """The distribution that contains the pretrained weights; None if they come from another source."""
        kind, _, name = self.weights_source.partition(":")
        return name if kind == "package" else None

    @property
    def description(self) -> str:
        """The family, the number of parameters and the cost, in a line."""
        millions, giga = self.parameters / 1e6, self.multiply_adds / 1e9
        return f"{self.family}: {millions:.1f} M parameters, {giga:.2f} G multiply-adds at {self.input_size} px"

    @property
    def paper(self) -> str:
        """The paper of the family, or the address of the library."""
        return _PAPERS.get(self.family, "https://github.com/huggingface/pytorch-image-models")


_PAPERS: Final[Mapping[str, str]] = {
    "resnet": "He et al. 2016, https://arxiv.org/abs/1512.03385",
    "mobilenet_v2": "Sandler et al. 2018, https://arxiv.org/abs/1801.04381",
    "mobilenet_v3": "Howard et al. 2019, https://arxiv.org/abs/1905.02244",
    "mobilenetv3": "Howard et al. 2019, https://arxiv.org/abs/1905.02244",
    "efficientnet": "Tan & Le 2019, https://arxiv.org/abs/1905.11946",
    "convnext": "Liu et al. 2022, https://arxiv.org/abs/2201.03545",
    "densenet": "Huang et al. 2017, https://arxiv.org/abs/1608.06993",
    "vgg": "Simonyan & Zisserman 2015, https://arxiv.org/abs/1409.1556",
    "regnet": "Radosavovic et al. 2020, https://arxiv.org/abs/2003.13678",
    "vit": "Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929",
    "vision_transformer": "Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929",
    "swin": "Liu et al. 2021, https://arxiv.org/abs/2103.14030",
    "swin_transformer": "Liu et al. 2021, https://arxiv.org/abs/2103.14030",
}

TABLE: Final = Path(__file__).with_name("backbones.tsv")
REFUSED_TABLE: Final = Path(__file__).with_name("refused.tsv")
COLUMNS: Final = tuple(field.name for field in fields(BackboneInfo))


class _Table(Mapping[str, BackboneInfo]):
    """The rows of the table by name; the file is read at the first use, and a row is parsed when it is needed."""

    @cached_property
    def _rows(self) -> dict[str, str]:
        text = TABLE.read_text(encoding="utf-8")
        return {row.partition("\t")[0]: row for row in text.splitlines()[1:]}

    def __getitem__(self, name: str) -> BackboneInfo:
        return _parse(self._rows[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: object) -> bool:
        return name in self._rows


def _parse(row: str) -> BackboneInfo:
    cells = dict(zip(COLUMNS, row.split("\t"), strict=True))
    return BackboneInfo(
        name=cells["name"],
        family=cells["family"],
        stages=int(cells["stages"]),
        features=int(cells["features"]),
        map_size=int(cells["map_size"]),
        parameters=int(cells["parameters"]),
        multiply_adds=int(cells["multiply_adds"]),
        input_size=int(cells["input_size"]),
        sizing=cast(Sizing, cells["sizing"]),
        mean=_triple(cells["mean"]),
        std=_triple(cells["std"]),
        interpolation=cast(Interpolation, cells["interpolation"]),
        weights_source=cells["weights_source"],
    )


def _triple(cell: str) -> tuple[float, float, float]:
    red, green, blue = map(float, cell.split(","))
    return red, green, blue


BACKBONES: Final[Mapping[str, BackboneInfo]] = _Table()


@cache
def refused() -> Mapping[str, str]:
    """Return the reason why a model of the libraries cannot be used, by name, for each model not in the table."""
    rows = (row.partition("\t") for row in REFUSED_TABLE.read_text(encoding="utf-8").splitlines())
    return {name: reason for name, _, reason in rows}


def unknown_backbone_rule(name: str) -> str:
    """Return the rule that the name of a backbone breaks if it is not in the table."""
    reason = refused().get(name)
    return (
        f"unknown backbone{did_you_mean(name, BACKBONES)}" if reason is None else f"cannot be cut into stages: {reason}"
    )


def stage_count(backbone: str) -> int:
    """Return the number of stages of a backbone of the table or of the user's own.

    Raises:
        ValueError: the user's own backbone is broken.
        MeltpointError: the program has registered no counter for own backbones.
    """
    if backbone in BACKBONES:
        return BACKBONES[backbone].stages
    stages = count_own_stages(backbone)
    if stages is None:
        raise MeltpointError(
            f"the stages of backbone {backbone} can be counted only by a program that imports it, "
            "such as `meltpoint plan` on your machine"
        )
    return stages


def map_side(backbone: str, image_size: int) -> int:
    """Return height and width of the last feature maps for images of `image_size` px; 0 if there are no maps."""
    info = BACKBONES[backbone]
    return math.ceil(image_size * info.map_size / info.input_size)


def resolve_freeze_depth(depth: int | str, *, backbone: str) -> int:
    """Return the number of frozen stages, counted from the image, for `depth`: `all`, or -k for all but the last k.

    Raises:
        ValueError: `depth` has another form or is out of range, or `stage_count` raises it.
        MeltpointError: `stage_count` raises it.
    """
    stages = stage_count(backbone)
    if depth == "all":
        return stages
    if isinstance(depth, str | bool) or not isinstance(depth, int):
        raise ValueError("must be an integer or all")
    if not -stages <= depth <= stages:
        raise ValueError(f"must lie in {-stages}..{stages}, or be all: {backbone} has {stages} stages")
    return depth + stages if depth < 0 else depth


def written_freeze_depth(frozen: int, *, backbone: str, own_stages: int | None = None) -> str:
    """Return a number of frozen stages as a sweep file has it: `0`, `all`, or `-1` for all stages but the last.

    The plain number if the number of the backbone's stages is not known. own_stages: that of a user's own backbone.
    """
    stages = BACKBONES[backbone].stages if backbone in BACKBONES else own_stages
    if stages is None or frozen == 0:
        return str(frozen)
    return "all" if frozen == stages else str(frozen - stages)
