"""Read an explicit list of recipes, each written as its differences from the default recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any, Final

from search_spaces.backbones import resolve_freeze_depth, written_freeze_depth
from search_spaces.documents import join_path
from search_spaces.errors import MeltpointError, Problem, SpecError, did_you_mean
from search_spaces.extensions import is_counting_forbidden, without_counting
from search_spaces.recipes import PARAMETERS, Recipe, TrainingContext, Value, broken_rules, same
from search_spaces.records import GROUPS
from search_spaces.spaces.descriptions import domain_in_words
from search_spaces.spaces.domains import Choice
from search_spaces.spaces.reader import nest
from search_spaces.spaces.space import Entry, Point, Space, default_value, spellings_in

_MAY_BE_OWN: Final = ("backbone", "augment.policy")
_DEFAULT_BACKBONE: Final = str(PARAMETERS["backbone"].default())


def read_points(
    raw: object, path: str, space: Space | None, context: TrainingContext
) -> tuple[tuple[Recipe, ...], list[Problem]]:
    """Return the recipes of a list of points, and its problems.

    A point gives its differences from the space's default recipe, and must lie in the space. If there is no space,
    it gives its differences from the vocabulary's defaults. `context` has the known facts about the trainings.

    Where nothing may count the stages of an own backbone (see `without_counting`), a point with one becomes a recipe
    that stands for it: it has the names of own code that the point gives, and says nothing about other values.
    """
    if not isinstance(raw, list) or not raw:
        return (), [Problem(path=path, rule="must be a list of at least one recipe", value=raw)]
    problems: list[Problem] = []
    recipes = []
    for index, point in enumerate(raw):
        try:
            recipes.append(_recipe(point, join_path(path, index), space, context))
        except SpecError as error:
            problems += error.problems
        except MeltpointError:  # stages that cannot be counted
            if not is_counting_forbidden():
                raise
            recipes.append(_stand_in(point, join_path(path, index), space))
    return tuple(recipes), problems


def _stand_in(raw: object, path: str, space: Space | None) -> Recipe:
    values = {} if space is None else {e.name: default_value(e, {}) for e in space.entries if e.name in _MAY_BE_OWN}
    values |= _given(raw, path, [])
    own = {name: values[name] for name in _MAY_BE_OWN if name in values}
    return Recipe.from_flat(own | {"freeze_depth": 0})


def read_point(raw: object, path: str) -> Recipe:
    """Return the recipe of a single point, which gives its differences from the vocabulary's defaults.

    The freeze depth of an own backbone, as a number from 0, is not checked, because its module may be missing.

    Raises:
        SpecError: the point has problems; the error has all of them, with their paths below `path`.
    """
    return _recipe(raw, path, None, TrainingContext(), count_stages=False)


def write_point(values: Mapping[str, object]) -> dict[str, Any]:
    """Return a recipe's values by dotted name as people write a point: nested, the freeze depth as `all` or from 0."""
    point: dict[str, Any] = {}
    for name, value in values.items():
        group, _, field = name.partition(".")
        if field:
            point.setdefault(group, {})[field] = value
        else:
            point[name] = value
    depth = written_freeze_depth(int(str(point["freeze_depth"])), backbone=str(point["backbone"]))
    point["freeze_depth"] = depth if depth == "all" else int(depth)
    return point


def _recipe(
    raw: object, path: str, space: Space | None, context: TrainingContext, *, count_stages: bool = True
) -> Recipe:
    problems: list[Problem] = []
    with nullcontext() if count_stages else without_counting():
        given = _given(raw, path, problems)
    if problems:
        raise SpecError(problems)
    values = given if space is None else {**_completed(given, path, space), **given}
    try:
        recipe = Recipe.from_flat(values)
    except SpecError as error:
        raise SpecError(_below(path, error.problems)) from None
    if count_stages:
        _check_depth(recipe, path)
    flat = recipe.flat()
    broken = [
        Problem(path=join_path(path, rule.names[0]), rule=text, value=flat[rule.names[0]])
        for rule, text in broken_rules(flat, context)
    ]
    if broken:
        raise SpecError(broken)
    return recipe


def _check_depth(recipe: Recipe, path: str) -> None:
    """Raise SpecError if an own backbone has fewer stages than are frozen, which a recipe alone accepts."""
    try:
        resolve_freeze_depth(recipe.freeze_depth, backbone=recipe.backbone)
    except ValueError as error:
        name_path = join_path(path, "freeze_depth")
        raise SpecError([Problem(path=name_path, rule=str(error), value=recipe.freeze_depth)]) from None


def _below(path: str, problems: tuple[Problem, ...]) -> list[Problem]:
    return [Problem(path=join_path(path, problem.path), rule=problem.rule, value=problem.value) for problem in problems]


def _given(raw: object, path: str, problems: list[Problem], group: str = "") -> dict[str, Value]:
    """Return the names and values that a point gives, nested or dotted."""
    if not isinstance(raw, Mapping):
        problems.append(Problem(path=path, rule="must be a mapping of names to values", value=raw))
        return {}
    given: dict[str, Value] = {}
    for key, value in nest(raw, path, problems).items():
        name, name_path = f"{group}.{key}" if group else key, join_path(path, key)
        if name in GROUPS:
            given |= _given(value, name_path, problems, name)
        elif name not in PARAMETERS:
            inside = [other.removeprefix(f"{group}.") for other in PARAMETERS if other.startswith(f"{group}.")]
            problems.append(
                Problem(path=name_path, rule=f"unknown name{did_you_mean(key, inside or [*PARAMETERS, *GROUPS])}")
            )
        else:
            try:
                given[name] = PARAMETERS[name].check(value)
            except ValueError as error:
                problems.append(Problem(path=name_path, rule=str(error), value=value))
    return given


def _completed(given: Mapping[str, Value], path: str, space: Space) -> dict[str, Value]:
    """Return the values of the point of the space that has `given` and is closest to the default point."""
    point = _closest_point(given, space)
    if point is None:
        raise SpecError(_outside(given, path, space))
    return _named(space, point)


def _closest_point(given: Mapping[str, Value], space: Space) -> Point | None:
    """Return the point that has `given` and is closest to the default point; None if the space has none."""

    def offer(entry: Entry, drawn: Mapping[str, Value]) -> tuple[Value, ...]:
        default = default_value(entry, drawn)
        if entry.name is None:
            assert isinstance(entry.domain, Choice)
            return (default, *(label for label in entry.domain.values if label != default))
        if entry.name not in given:
            return (default,)
        return spellings_in(entry, given[entry.name], str(drawn.get("backbone", _DEFAULT_BACKBONE)))

    for point in space.points(offer):
        values = _named(space, point)
        if all(_is_compatible(name, value, values) for name, value in given.items()):
            return point
    return None


def _named(space: Space, point: Point) -> dict[str, Value]:
    names = {entry.key: entry.name for entry in space.entries}
    return {name: value for key, value in point.items() if (name := names[key]) is not None}


def _is_compatible(name: str, value: Value, drawn: Mapping[str, Value]) -> bool:
    """Return whether a recipe of the space with these drawn values has `value` under `name`."""
    return name in drawn or _is_default(name, value, drawn)


def _is_default(name: str, value: Value, beside: Mapping[str, Value]) -> bool:
    """Return whether `value` is the default of a name that is not drawn, beside these other values."""
    parameter = PARAMETERS[name]
    decider = parameter.decided_by
    return same(value, parameter.default(beside.get(decider, PARAMETERS[decider].default()) if decider else None))


def _outside(given: Mapping[str, Value], path: str, space: Space) -> list[Problem]:
    problems = []
    backbone = str(given.get("backbone", _DEFAULT_BACKBONE))
    for name, value in given.items():
        entries = [entry for entry in space.entries if entry.name == name]
        name_path = join_path(path, name)
        if entries and not any(spellings_in(entry, value, backbone) for entry in entries):
            rule = f"lies outside the space, which has {_domains(entries)}"
            problems.append(Problem(path=name_path, rule=rule, value=value))
        elif not entries and not _is_default(name, value, given):
            problems.append(
                Problem(
                    path=name_path, rule="must be left at its default, because the space does not draw it", value=value
                )
            )
    return problems or [_outside_together(given, path, space)]


def _outside_together(given: Mapping[str, Value], path: str, space: Space) -> Problem:
    """Return the problem of values of which each lies in the space, but not all together.

    Name a value without which the others lie in the space together, rather a setting than a choice among branches.
    """
    for name in sorted(given, key=lambda name: name.endswith(".name") or name == "backbone"):
        point = _closest_point({other: value for other, value in given.items() if other != name}, space)
        drawn = [] if point is None else [entry for entry in space.entries if entry.key in point and entry.name == name]
        if drawn:
            rule = f"lies outside the space beside the point's other values, where it has {_domains(drawn)}"
            return Problem(path=join_path(path, name), rule=rule, value=given[name])
    return Problem(path=path, rule="no recipe of the space has these values together")


def _domains(entries: Iterable[Entry]) -> str:
    return "; or ".join(dict.fromkeys(domain_in_words(entry.domain) for entry in entries))
