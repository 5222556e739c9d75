"""Read a sweep file, or list all its problems."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, get_args

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, PrivateAttr, ValidationError, field_validator

from search_spaces.documents import (
    Assignment,
    Document,
    Location,
    assignments,
    check_size,
    problems_from,
    read_document,
)
from search_spaces.errors import MeltpointError, Problem, SpecError, did_you_mean
from search_spaces.extensions import is_counting_forbidden, modules_in
from search_spaces.recipes import Recipe, TrainingContext
from search_spaces.spaces import Space, grid_size, read_points, read_space
from search_spaces.sweeps.objectives import MetricSpec, read_metrics
from search_spaces.sweeps.recipe_files import assign_recipes, embed_recipes
from search_spaces.sweeps.scheduler_rules import misfits, unused_keys
from search_spaces.sweeps.sections import (
    MOST_TRIALS,
    BudgetSpec,
    ConfirmSpec,
    DataSpec,
    RegisterSpec,
    ResourcesSpec,
    SchedulerSpec,
    SearchSpec,
    Section,
)

NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class SweepSpec(Section):
    """A sweep, as its file describes it; `parse_spec` and `load_spec` check the rules between sections."""

    model_config = ConfigDict(populate_by_name=True)

    name: str
    data: DataSpec
    metric: Annotated[MetricSpec, Field(description="the metric to optimise")] = MetricSpec()
    further_metrics: Annotated[tuple[MetricSpec, ...], Field(description="further entries of `metric`")] = ()
    space: Annotated[InstanceOf[Space], Field(exclude=True, description="empty if only points are given")]
    search: SearchSpec = SearchSpec()
    scheduler: SchedulerSpec = SchedulerSpec()
    budget: BudgetSpec = BudgetSpec()
    resources: ResourcesSpec = ResourcesSpec()
    confirm: ConfirmSpec | None = None
    registration: Annotated[RegisterSpec | None, Field(alias="register")] = None

    _document: dict[str, Any] = PrivateAttr(default_factory=dict)
    _text: str = PrivateAttr(default="")
    _file: str = PrivateAttr(default="")

    @field_validator("name")
    @classmethod
    def _usable_as_a_file_name(cls, name: str) -> str:
        return check_name(name)

    @property
    def seed(self) -> int:
        """The seed of the search and of every trial's training."""
        return self.search.seed

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        """The entries of `metric`: the one that the sweep optimises, then the further ones."""
        return self.metric, *self.further_metrics

    @property
    def points(self) -> tuple[Recipe, ...]:
        """The recipes to run, in order, if the algorithm is `points`; else empty."""
        return self.search.points if self.search.algorithm == "points" else ()

    @property
    def first_points(self) -> tuple[Recipe, ...]:
        """The recipes that run before those that the algorithm chooses, in order; empty if it is `points`."""
        return () if self.search.algorithm == "points" else self.search.points

    @property
    def document(self) -> dict[str, Any]:
        """The file as plain data, ready for JSON, with the assigned values."""
        return self._document

    @property
    def text(self) -> str:
        """The file's text; with assignments, the changed sweep's text, and below it the file's own as a comment."""
        return self._text

    @property
    def file(self) -> str:
        """The file's name, as the caller gave it."""
        return self._file

    @property
    def folder(self) -> Path:
        """The folder of the file, in which its relative paths start."""
        return Path(self._file).absolute().parent


SECTIONS: Final[Mapping[str, type[Section]]] = MappingProxyType(
    {
        "data": DataSpec,
        "metric": MetricSpec,
        "search": SearchSpec,
        "scheduler": SchedulerSpec,
        "budget": BudgetSpec,
        "resources": ResourcesSpec,
        "confirm": ConfirmSpec,
        "register": RegisterSpec,
    }
)
"""The sections by key; the file's other keys are `name` and `space`."""
_WITHOUT_EARLIER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "grid": "which runs the recipes of its grid whatever came before",
        "points": "which runs its own list",
    }
)
"""Algorithms that cannot start from earlier sweeps, each with what it does."""
_KEYS: Final = (
    "name",
    "data",
    "metric",
    "space",
    *(key for key in SECTIONS if key not in ("data", "metric")),
)


def load_spec(path: Path, assign: Sequence[str] = ()) -> SweepSpec:
    """Return the sweep that a file describes, changed by assignments such as `budget.trials=64`.

    Raises:
        SpecError: the file is missing or has problems; the error has all of them.
    """
    return parse_spec(read_spec_text(path), file=str(path), assign=assign_recipes(assign))


def read_spec_text(path: Path) -> str:
    """Return the text of a sweep file, unchecked but for recipe files in `search.points`, whose recipes it contains.

    Raises:
        SpecError: the file or a recipe file cannot be read, is too large, or is not UTF-8.
    """
    try:
        check_size(path.stat().st_size, str(path))
        return embed_recipes(path.read_text(encoding="utf-8-sig"), path)
    except OSError as error:
        raise SpecError([Problem(path="", rule=f"cannot be read: {error.strerror}", file=str(path))]) from None
    except UnicodeDecodeError as error:
        rule = f"cannot be read: byte {error.start} is not UTF-8"
        raise SpecError([Problem(path="", rule=rule, file=str(path))]) from None


def parse_spec(text: str, *, file: str, assign: Sequence[str] = ()) -> SweepSpec:
    """Return the sweep that `text` describes, changed by assignments such as `budget.trials=64`.

    Raises:
        SpecError: `text` has problems; each has its line in `file`, or the assignment that causes it.
    """
    document = read_document(text, file)
    if not isinstance(document.data, dict):
        raise SpecError(document.locate([Problem(path="", rule="must be a mapping with name, data and space")]))
    assigned = assignments.read_assignments(assign)
    data = assignments.apply_assignments(document.data, assigned)
    reader = _Reader(data)
    with modules_in(Path(file).absolute().parent):
        values = reader.read()
    if reader.problems or document.problems:
        raise SpecError([*document.problems, *_located(reader.problems, document, assigned)])
    spec = SweepSpec(**values)
    spec._document, spec._file = data, file
    spec._text = assignments.text_with_assignments(text, data, assigned) if assigned else text
    return spec


def _located(problems: list[Problem], document: Document, assigned: Sequence[Assignment]) -> list[Problem]:
    """Give each problem its line in the file, or its assignment if the file alone does not have the problem."""
    alone = _Reader(document.data)
    alone.read()
    old = [problem for problem in problems if problem in alone.problems]
    new = [problem for problem in problems if problem not in alone.problems]
    return [*document.locate(old), *assignments.attribute_problems(new, assigned)]


def check_name(name: object) -> str:
    """Return a sweep's name.

    Raises:
        ValueError: a file could not have this name.
    """
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        raise ValueError("must be 1 to 64 letters and digits, and . _ - after the first")
    return name


class _Reader:
    """Read a document section by section, and collect its problems in `problems`."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw
        self.problems: list[Problem] = []

    def read(self) -> dict[str, Any]:
        """Return the validated sections by key; they are complete if there are no problems."""
        for key in self.raw:
            if key not in _KEYS:
                self.problems.append(Problem(path=key, rule=f"unknown key{did_you_mean(key, _KEYS)}"))
        values: dict[str, Any] = {}
        for key in ("name", "data"):
            if key not in self.raw:
                self.problems.append(Problem(path=key, rule="is required"))
        if "name" in self.raw:
            self._name(values)
        for key, model in SECTIONS.items():
            if key in self.raw and key != "metric":
                self._section(key, model, values)
        self._metric(values)
        self._earlier(values)
        self._space(values)
        self._points(values)
        self._grid(values)
        self._scheduler(values)
        self._confirm(values)
        return values

    def _name(self, values: dict[str, Any]) -> None:
        try:
            values["name"] = check_name(self.raw["name"])
        except ValueError as error:
            self.problems.append(Problem(path="name", rule=str(error), value=self.raw["name"]))

    def _section(self, key: str, model: type[Section], values: dict[str, Any]) -> None:
        raw = self.raw[key]
        if key == "search" and isinstance(raw, Mapping):
            raw = {inner: value for inner, value in raw.items() if inner != "points"}
        try:
            values[key] = model.model_validate(raw)
        except ValidationError as error:
            self.problems += problems_from(error, key, _known_below(model))

    def _metric(self, values: dict[str, Any]) -> None:
        if "metric" not in self.raw:
            return
        metrics, problems = read_metrics(self.raw["metric"])
        self.problems += problems
        if not problems:
            values["metric"], values["further_metrics"] = metrics[0], metrics[1:]

    def _earlier(self, values: Mapping[str, Any]) -> None:
        """Check that the algorithm can start from earlier sweeps."""
        search = values.get("search")
        if search is not None and search.earlier and search.algorithm in _WITHOUT_EARLIER:
            rule = f"is not used by algorithm {search.algorithm}, {_WITHOUT_EARLIER[search.algorithm]}"
            self.problems.append(Problem(path="search.from", rule=f"{rule}; use tpe or random"))

    def _space(self, values: dict[str, Any]) -> None:
        if "space" in self.raw:
            values["space"], problems = read_space(
                self.raw["space"], grid=self._is_grid(), context=self._context(values)
            )
            self.problems += problems
            if problems:
                del values["space"]
        elif "search" in self.raw and getattr(values.get("search"), "algorithm", "points") == "points":
            values["space"] = Space()
        else:
            alone = "; to run only search.points, give search.algorithm: points" if self._has_points() else ""
            self.problems.append(Problem(path="space", rule=f"is required{alone}"))

    def _context(self, values: Mapping[str, Any]) -> TrainingContext:
        """Return the facts about the trainings that the file gives correctly."""
        budget = None if "budget" in self.raw and "budget" not in values else values.get("budget", BudgetSpec())
        data = values.get("data")
        return TrainingContext(
            epochs=None if budget is None else budget.epochs, image_size=None if data is None else data.image_size
        )

    def _is_grid(self) -> bool:
        search = self.raw.get("search")
        return isinstance(search, Mapping) and search.get("algorithm") == "grid"

    def _has_points(self) -> bool:
        return isinstance(self.raw.get("search"), Mapping) and "points" in self.raw["search"]

    def _points(self, values: dict[str, Any]) -> None:
        """Read `search.points`; if the algorithm is `points`, their number limits the number of trials."""
        search, budget = values.get("search"), values.get("budget", BudgetSpec())
        listed = search is not None and search.algorithm == "points"
        if listed and not self._has_points():
            self.problems.append(Problem(path="search.points", rule="is required if algorithm is points"))
        if not self._has_points():
            return
        if "space" not in values:
            return
        space = values["space"] if "space" in self.raw else None
        recipes, problems = read_points(self.raw["search"]["points"], "search.points", space, self._context(values))
        self.problems += problems
        if search is not None:
            values["search"] = search.model_copy(update={"points": recipes})
        if search is not None and not listed:
            return
        limit = budget.trials if "trials" in budget.model_fields_set else len(recipes)
        values["budget"] = budget.model_copy(update={"trials": min(limit, len(recipes))})

    def _grid(self, values: dict[str, Any]) -> None:
        """Set the number of trials of a grid to its number of recipes, or to the budget's if that is smaller."""
        if not self._is_grid() or "space" not in values or ("budget" in self.raw and "budget" not in values):
            return
        budget = values.get("budget", BudgetSpec())
        given, size = "trials" in budget.model_fields_set, _grid_size(values["space"])
        if size > MOST_TRIALS and not given:
            rule = f"has {size:,} recipes here, more than {MOST_TRIALS:,}; give budget.trials to try some of them"
            self.problems.append(Problem(path="search.algorithm", rule=rule, value="grid"))
        trials = min(budget.trials, size) if given else size
        values["budget"] = budget.model_copy(update={"trials": trials})

    def _confirm(self, values: dict[str, Any]) -> None:
        data = values.get("data")
        if "confirm" in values and data is not None and data.split.confirm == 0:
            rule = "needs confirmation images, but data.split.confirm is 0; give a share such as 0.1"
            self.problems.append(Problem(path="confirm", rule=rule))

    def _scheduler(self, values: dict[str, Any]) -> None:
        self.problems += unused_keys(self.raw.get("scheduler"))
        if not {"scheduler", "budget"} & (set(self.raw) - set(values)):
            budget = values.get("budget", BudgetSpec())
            self.problems += misfits(values.get("scheduler", SchedulerSpec()), budget.epochs)


def _grid_size(space: Space) -> int:
    """Return the number of recipes of a grid; at most so many if no stages of own backbones may be counted here."""
    try:
        return grid_size(space)
    except MeltpointError:
        points = space.size()
        if points is None or not is_counting_forbidden():
            raise
        return points


def _known_below(model: type[BaseModel]) -> Callable[[Location], Iterable[str]]:
    def known(place: Location) -> Iterable[str]:
        here: Any = model
        for part in place:
            annotation = here.model_fields[part].annotation
            here = next((option for option in get_args(annotation) if hasattr(option, "model_fields")), annotation)
        return [field.alias or name for name, field in here.model_fields.items()]

    return known
