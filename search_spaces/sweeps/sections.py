"""The sections of a sweep file, each a frozen record with its rules."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from search_spaces.backbones import BACKBONES
from search_spaces.documents import parse_duration, parse_size
from search_spaces.recipes import Recipe
from search_spaces.records import Fraction, Number

SCHEDULER_KEYS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "none": (),
        "asha": ("grace_epochs", "reduction_factor", "brackets"),
        "median": ("grace_epochs", "min_trials"),
    }
)
"""The keys that each type of scheduler uses."""

MOST_TRIALS: Final = 1_000_000

_MODEL_NAME_LENGTH: Final = 256
_REFERENCE_LENGTH: Final = 128
_MOST_EARLIER: Final = 20

Seed = Annotated[int, Field(ge=0, lt=2**32)]

DataLayout = Literal["class", "split/class", "class/split"]
"""Levels of folders of an image folder, from the root."""

# Spellings that a section converts to numbers, for the schema.
_Size = (
    Annotated[str, Field(pattern=r"^\s*\d{1,15}(\.\d{1,6})?\s*[KMGTkmgt]?[iI]?[bB]?\s*$", examples=["20G", "16GiB"])]
    | Annotated[int, Field(gt=0)]
    | None
)
_Duration = Annotated[str, Field(pattern=r"^(?=.)(\d{1,6}h)?(\d{1,6}m)?(\d{1,6}s)?$", examples=["30m", "1h30m"])] | None
_Sweeps = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=_REFERENCE_LENGTH)]],
    Field(min_length=1, max_length=_MOST_EARLIER, examples=[["last"]]),
]
_Gpus = Literal["auto"] | Annotated[float, Field(ge=0, le=1024)]


class Section(BaseModel):
    """Base class of all sections: immutable, no unknown keys, no silent conversions, finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class SplitSpec(Section):
    """Shares of the images for validation, confirmation and test; the rest is for training."""

    val: Annotated[Fraction, Field(gt=0, description="share on which trials are compared")] = 0.2
    confirm: Annotated[
        Fraction, Field(description="share that the search never reads, for confirmation; 0 is none")
    ] = 0.1
    test: Annotated[Fraction, Field(description="share for the final score")] = 0.2
    seed: Annotated[Seed, Field(description="seed of the split")] = 0
    group: Annotated[str | None, Field(min_length=1, description="manifest column whose groups stay in one split")] = (
        None
    )

    copies: Annotated[
        Literal["together", "ignore"],
        Field(description="keep images that show the same picture in one split, or place each by itself"),
    ] = "together"

    @model_validator(mode="after")
    def _leaves_some_to_train_on(self) -> Self:
        total = self.val + self.confirm + self.test
        if total >= 1 - 1e-9:
            raise ValueError(f"val + confirm + test must be < 1, but is {total:g}")
        return self


class DataColumns(Section):
    """Names of a source's columns, if they are called otherwise and cannot be found."""

    image: Annotated[
        str | None, Field(min_length=1, description="column of the images: their paths, or the files themselves")
    ] = None
    label: Annotated[str | None, Field(min_length=1, description="column of the labels")] = None
    split: Annotated[str | None, Field(min_length=1, description="column of the splits")] = None

    @model_validator(mode="after")
    def _differ(self) -> Self:
        named = [name for name in (self.image, self.label, self.split) if name is not None]
        if len(set(named)) != len(named):
            raise ValueError(f"must name different columns ({', '.join(named)})")
        return self


class DataSpec(Section):
    """Images of the sweep: their source, split, size (pixels, square), and limits of disk and memory.

    A file gives `disk`, `memory` and `cache` as text such as 20G; the fields are in bytes.
    """

    source: Annotated[
        str,
        Field(
            description="data set, image folder or archive, manifest such as a .csv, arrays .npz, torchvision:NAME, "
            "URI, or own code"
        ),
    ]
    root: Annotated[
        str | None, Field(min_length=1, description="folder in which the source's paths start and must stay")
    ] = None
    layout: Annotated[
        DataLayout | None, Field(description="levels of folders of an image folder; by default found from their names")
    ] = None
    columns: DataColumns = DataColumns()
    split: SplitSpec = SplitSpec()
    image_size: Annotated[int, Field(ge=8, le=1024, description="height and width in pixels")] = 224
    interpolation: Annotated[
        Literal["auto", "bilinear", "bicubic"],
        Field(description="method of resizing; auto is that of each backbone's training"),
    ] = "auto"
    disk: Annotated[
        int | None, Field(description="most bytes of decoded images on disk; further images are streamed")
    ] = None
    memory: Annotated[
        int | None, Field(description="most bytes of images mapped to memory; further images are streamed")
    ] = None

    cache: Annotated[int | None, Field(description="most bytes of activations kept on disk; off is none")] = None

    @field_validator("cache", mode="before", json_schema_input_type=_Size)
    @classmethod
    def _bytes_or_off(cls, size: Any) -> int | None:
        return 0 if size == "off" else None if size is None else parse_size(size)

    def resized_for(self, backbone: str) -> DataSpec:
        """Return a copy with `auto` replaced by the interpolation with which `backbone` was trained.

        For an own backbone this is bilinear.
        """
        if self.interpolation != "auto":
            return self
        interpolation = BACKBONES[backbone].interpolation if backbone in BACKBONES else "bilinear"
        return self.model_copy(update={"interpolation": interpolation})

    @field_validator("disk", "memory", mode="before", json_schema_input_type=_Size)
    @classmethod
    def _bytes(cls, size: Any) -> int | None:
        return None if size is None else parse_size(size)

    @field_validator("source")
    @classmethod
    def _names_something(cls, source: str) -> str:
        if not source.strip() or "\0" in source:
            raise ValueError("must name a data set, a folder or a manifest")
        return source


class SearchSpec(Section):
    """The search algorithm: random, grid, points (an explicit list of recipes), or TPE (Bergstra et al. 2011)."""

    algorithm: Literal["random", "grid", "points", "tpe"] = "tpe"
    seed: Annotated[Seed, Field(description="seed of the search and of every trial's training")] = 0
    points: Annotated[
        tuple[Recipe, ...], Field(description="recipes that run first, in order; with algorithm points, all recipes")
    ] = ()
    earlier: Annotated[
        tuple[str, ...],
        Field(alias="from", description="earlier sweeps (ids, names or `last`) whose best recipes run first"),
    ] = ()

    @field_validator("earlier", mode="before", json_schema_input_type=_Sweeps)
    @classmethod
    def _lists_sweeps(cls, references: Any) -> tuple[str, ...]:
        if not isinstance(references, list) or not references or not all(map(_is_reference, references)):
            raise ValueError("must be a list of sweeps, such as [last] or [s-7f3a9c, elpv-baseline]")
        if len(references) > _MOST_EARLIER:
            raise ValueError(f"must list at most {_MOST_EARLIER} sweeps")
        if len(set(references)) < len(references):
            raise ValueError("must list each sweep once")
        return tuple(references)


class SchedulerSpec(Section):
    """The rule that stops trials early; each type has its own keys.

    none stops no trial. asha stops all but the best trials at each rung (Li et al. 2020). median stops a trial whose
    best value is worse than the median of the other trials' averages (Golovin et al. 2017).
    """

    type: Literal["none", "asha", "median"] = "none"
    grace_epochs: Annotated[int, Field(ge=1, description="epochs before a trial may be stopped")] = 1
    reduction_factor: Annotated[int, Field(ge=2, description="1 of this number of trials goes on at each rung")] = 3
    brackets: Annotated[int, Field(ge=1, description="number of groups of trials, each with one rung fewer")] = 1
    min_trials: Annotated[int, Field(ge=1, description="fewest other trials for a median")] = 3


class BudgetSpec(Section):
    """Limits after which a sweep ends. A file gives `wall` as text such as 1h30m; the field is in seconds."""

    trials: Annotated[int, Field(ge=1, le=MOST_TRIALS, description="number of trials")] = 16
    epochs: Annotated[int, Field(ge=1, le=100_000, description="epochs of a trial that is not stopped early")] = 5
    wall: Annotated[float | None, Field(description="duration after which no trial trains further")] = None
    gpu_hours: Annotated[Number, Field(gt=0, description="GPU hours, summed over all trials")] | None = None
    max_failed: Annotated[int, Field(ge=0, description="most failed trials; one more ends the sweep")] | None = None

    @field_validator("wall", mode="before", json_schema_input_type=_Duration)
    @classmethod
    def _seconds(cls, wall: Any) -> float | None:
        return None if wall is None else parse_duration(wall)


class ResourcesSpec(Section):
    """Resources of a trial: CPU cores, a share of a GPU, a whole number of GPUs or `auto`, and their kind."""

    cpu: Annotated[Number, Field(gt=0, le=1024, description="CPU cores")] = 1.0
    gpu: Annotated[float | Literal["auto"], Field(description="GPUs; auto is a share of a GPU if there is a GPU")] = (
        "auto"
    )
    accelerator: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
            description="the only kind of GPU that will do",
            examples=["H100"],
        ),
    ] = None

    @model_validator(mode="after")
    def _has_a_gpu_of_that_kind(self) -> Self:
        if self.accelerator is not None and self.gpu == 0:
            raise ValueError(f"gpu must be > 0 or auto if there is an accelerator ({self.accelerator})")
        return self

    @field_validator("gpu", mode="plain", json_schema_input_type=_Gpus)
    @classmethod
    def _share_or_whole(cls, gpu: Any) -> float | Literal["auto"]:
        if gpu == "auto":
            return "auto"
        if isinstance(gpu, bool) or not isinstance(gpu, int | float) or not 0 <= gpu <= 1024:
            raise ValueError("must be auto, a share of a GPU such as 0.25, or a whole number of GPUs")
        if gpu > 1 and gpu != int(gpu):
            raise ValueError("must be a whole number if it is > 1")
        return float(gpu)


class ConfirmSpec(Section):
    """The confirmation at the end of a sweep: its best recipes and the default are trained anew on fresh seeds."""

    top_k: Annotated[int, Field(ge=1, le=20, description="most finalists, the best of the search")] = 3
    seeds: Annotated[
        int, Field(ge=2, le=64, description="trainings of each recipe; one does not show how much the seed changes")
    ] = 4
    gate: Annotated[
        float, Field(ge=0.5, lt=1, description="probability of being better than the default that a winner needs")
    ] = 0.9
    tolerance: Annotated[
        Fraction, Field(description="expected loss of score, 0 to 1, for which a cheaper recipe is taken")
    ] = 0.0025


class RegisterSpec(Section):
    """The registered model to which the best trial adds a version, and how many models MLflow is given at all."""

    model: str
    top_k: Annotated[
        int, Field(ge=1, le=20, description="best trials whose models are logged; only the best is registered")
    ] = 1

    @field_validator("model")
    @classmethod
    def _registrable(cls, model: str) -> str:
        if not model.strip() or not model.isprintable() or len(model) > _MODEL_NAME_LENGTH:
            raise ValueError(f"must be 1 to {_MODEL_NAME_LENGTH} printable characters")
        if set(model) & set("/:") or model in (".", ".."):
            raise ValueError("must contain neither / nor :")
        return model


def _is_reference(reference: object) -> bool:
    return isinstance(reference, str) and reference.isprintable() and 0 < len(reference) <= _REFERENCE_LENGTH
