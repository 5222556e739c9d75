"""Recipe files: the hyperparameters of a production training, the evidence for them, and the way to train again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from search_spaces import MISSING, Goal, Problem, Recipe, SpecError
from search_spaces.documents import Location, problems_from
from search_spaces.spaces import read_point
from search_spaces.sweeps import DataColumns, DataLayout

__all__ = [
    "FORMAT",
    "BackboneUsed",
    "ChosenBy",
    "DataUsed",
    "ExpectedScore",
    "Interval",
    "RecipeFile",
    "SplitUsed",
    "TrainingPolicy",
]

FORMAT: Final = "meltpoint-recipe-1"

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]+$")]
_Share = Annotated[float, Field(ge=0, lt=1)]


class _Part(BaseModel):
    """Base of a recipe file's parts: immutable, no unknown keys, no silent conversions, finite numbers."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class ChosenBy(_Part):
    """The way in which the recipe was chosen, and from which sweep."""

    how: Literal["confirmed", "default stands", "unconfirmed"]
    """confirmed: won on fresh seeds. default stands: no finalist was shown to be better. unconfirmed: best trial."""
    because: str
    """The reason, in a sentence."""
    sweep: str
    """Id of the sweep."""
    name: str
    """Name of the sweep."""
    trial: str | None = None
    """Id of the sweep's trial with this recipe; null if the sweep had none."""
    trials: Annotated[int, Field(ge=1)]
    """Number of trials from which it was chosen."""


class BackboneUsed(_Part):
    """The feature extractor, and the weights from which it started."""

    name: str
    stages: int | None = None
    """Number of its stages; null if it is not known, as for your own backbone."""
    frozen_stages: Annotated[int, Field(ge=0)]
    """Number of stages, counted from the image, that stay frozen."""
    weights_sha256: _Digest | None = None
    """SHA-256 over the starting weights' tensors; null for random weights, or if it is not known."""


class SplitUsed(_Part):
    """The images of a split."""

    images: Annotated[int, Field(ge=0)]
    digest: _Digest
    """32 hex digits over pixels and labels, in order."""


class Shares(_Part):
    """Shares of the images in the splits, as a sweep file's `data.split` has them."""

    val: _Share
    confirm: _Share
    test: _Share
    seed: Annotated[int, Field(ge=0)]
    group: str | None = None
    copies: Literal["together", "ignore"] = "ignore"


class DataUsed(_Part):
    """The images that the recipe was chosen on."""

    name: str
    source: str
    """Source as in a sweep file's `data.source`; a relative path starts at the recipe file's folder."""
    root: str | None = None
    layout: DataLayout | None = None
    columns: DataColumns = DataColumns()
    split: Shares
    image_size: Annotated[int, Field(ge=8)]
    """Height and width in pixels."""
    interpolation: Literal["bilinear", "bicubic"]
    classes: list[str]
    digest: _Digest | None = None
    """32 hex digits over all images, labels and splits; null if it is not known."""
    splits: dict[Literal["train", "val", "confirm", "test"], SplitUsed] = {}


class TrainingPolicy(_Part):
    """The length, seeds and best-epoch rule of the trainings."""

    epochs: Annotated[int, Field(ge=1)]
    """Epochs of a training; schedules of the learning rate depend on it."""
    metric: str
    """Metric on val that decides the best epoch."""
    goal: Literal["maximize", "minimize"]
    best_epoch: Literal["best on val"] = "best on val"
    """Rule: the weights after the epoch with the best value on val are kept, the first of equal ones."""
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    """Seeds of the trainings that gave the expected score; the first is that of the deployed model."""
    best_epochs: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    """Best epoch of each seed's training."""
    threads: Annotated[int, Field(ge=1)] = 1
    """CPU threads of a training; on a CPU another number rounds differently."""
    full_data_epochs: Annotated[int, Field(ge=1)]
    """Epochs of a training on all images but test, which has no val to find its best epoch: the median above."""


class Interval(_Part):
    """A two-sided interval."""

    low: float
    high: float
    level: Annotated[float, Field(gt=0, lt=1)]
    """Share of such intervals that hold the value."""


class ExpectedScore(_Part):
    """The score that a training by the recipe is expected to have."""

    measure: str
    """Measure, such as `accuracy`."""
    split: Literal["confirm", "val"]
    """Images that the value is from. The search chose by val, so that a value on val is likely too good."""
    images: Annotated[int, Field(ge=0)]
    value: float
    """Mean over the seeds."""
    by_seed: list[float] = []
    """Value of each seed's training, in the order of `training.seeds`."""
    mean_interval: Interval | None = None
    """Interval of the recipe's mean score over seeds and images like these; null: no claim is made."""
    training_interval: Interval | None = None
    """Interval in which the score of a single new training, on these same images, falls; null: no claim is made."""
    naive: float | None = None
    """Best value of the search on val, which is likely too good."""


class RecipeFile(_Part):
    """A recipe file. `claim` covers all that the expected score depends on, so that a change by hand is noticed."""

    CLAIMED: ClassVar[tuple[str, ...]] = ("chosen", "backbone", "data", "training", "score", "evidence")
    """Parts that the claim covers, besides the hyperparameters."""
    UNCLAIMED_DATA: ClassVar[tuple[str, ...]] = ("name", "source", "root", "layout", "columns")
    """Keys of `data` that it does not cover."""

    format: Literal["meltpoint-recipe-1"] = FORMAT
    chosen: ChosenBy
    recipe: dict[str, Any]
    """Hyperparameters, as a sweep file's `search.points` has them."""
    backbone: BackboneUsed
    data: DataUsed
    training: TrainingPolicy
    score: ExpectedScore
    evidence: dict[str, Any] = {}
    """Facts behind the choice, such as the difference to the default recipe with its interval."""
    versions: dict[str, str]
    """Versions of Python and of the packages that trained."""
    code: str | None = None
    """Folder of your own code, if the recipe uses any."""
    command: str
    """Command that trains by this file."""
    claim: _Digest
    """SHA-256 over the parts that the expected score depends on."""

    @classmethod
    def from_data(cls, data: object) -> RecipeFile:
        """Return the recipe file of plain data, whose hyperparameters are checked too.

        Raises:
            SpecError: the data have problems; the error has all of them, with their paths.
        """
        if not isinstance(data, Mapping):
            raise SpecError([Problem(path="", rule="must be a mapping, as `meltpoint export` writes it")])
        if data.get("format") != FORMAT:
            rule = f"must be {FORMAT}, as `meltpoint export` writes it"
            raise SpecError([Problem(path="format", rule=rule, value=data.get("format", MISSING))])
        problems: list[Problem] = []
        if "recipe" in data:
            try:
                read_point(data["recipe"], "recipe")
            except SpecError as error:
                problems += error.problems
        try:
            file = cls.model_validate(dict(data))
        except ValidationError as error:
            problems += [p for p in problems_from(error, "", _known) if not _is_about_recipe(p)]
        else:
            given = file.training.best_epochs
            if len(given) != len(file.training.seeds):
                rule = f"must have an entry for each of the {len(file.training.seeds)} seeds"
                problems.append(Problem(path="training.best_epochs", rule=rule, value=given))
        if problems:
            raise SpecError(problems)
        return file

    @property
    def hyperparameters(self) -> Recipe:
        """The recipe, resolved."""
        return read_point(self.recipe, "recipe")

    @property
    def goal(self) -> Goal:
        """The goal of the metric."""
        return Goal(self.training.goal)

    @property
    def is_confirmed(self) -> bool:
        """True if the recipe was confirmed on fresh seeds, also if it is the default."""
        return self.chosen.how != "unconfirmed"

    @property
    def is_as_exported(self) -> bool:
        """True if nothing was changed by hand that the expected score depends on."""
        return self.claim == self.compute_claim()

    def compute_claim(self) -> str:
        """Return the SHA-256 over the parts that the expected score depends on.

        Comments, names of data and sources, versions and the command do not count. Two ways to write the same recipe
        count as the same.
        """
        counted = self.claimed_parts() | {"recipe": self.hyperparameters.recorded()}
        text = json.dumps(counted, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def claimed_parts(self) -> dict[str, Any]:
        """Return what the claim covers besides the hyperparameters, as nested mappings."""
        parts = self.model_dump(include=set(self.CLAIMED))
        for name in self.UNCLAIMED_DATA:
            del parts["data"][name]
        if self.data.split.copies == "ignore":
            del parts["data"]["split"]["copies"]  # claims of files that were written without the key stay valid
        return parts

    def signed(self) -> RecipeFile:
        """Return the file with the claim of its present content."""
        return self.model_copy(update={"claim": self.compute_claim()})

    def as_json(self) -> dict[str, Any]:
        """Return the file as plain data, in the order in which it is written."""
        return self.model_dump(mode="json")


def _is_about_recipe(problem: Problem) -> bool:
    return problem.path.partition(".")[0].partition("[")[0] == "recipe"


def _known(place: Location) -> Iterable[str]:
    """Return the keys that are allowed at a place."""
    here: Any = RecipeFile
    for part in place:
        fields = getattr(here, "model_fields", {})
        if part not in fields:
            return ()
        annotation = fields[part].annotation
        here = next((option for option in get_args(annotation) if hasattr(option, "model_fields")), annotation)
    return list(getattr(here, "model_fields", ()))
