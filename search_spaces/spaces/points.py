"""An explicit list of recipes, each written as what differs from the default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from search_spaces.backbones import resolve_freeze_depth
from search_spaces.documents import join_path
from search_spaces.errors import Problem, SpecError, did_you_mean
from search_spaces.recipes import PARAMETERS, Recipe, Setting, Value, broken_rules, same
from search_spaces.records import GROUPS
from search_spaces.spaces.domains import Choice
from search_spaces.spaces.reader import nest
from search_spaces.spaces.space import Entry, Point, Space, default_value, spelled_in

_DEFAULT_BACKBONE: Final = str(PARAMETERS["backbone"].default())


def read_points(
    raw: object, path: str, space: Space | None, setting: Setting
) -> tuple[tuple[Recipe, ...], list[Problem]]:
    """The recipes of a list of points, and what is wrong with them.

    A point gives what differs from the space's default recipe, and must lie in the space; without a space
    it gives what differs from the vocabulary's defaults. setting: the trainings that they are for.
    """
    if not isinstance(raw, list) or not raw:
        return (), [Problem(path=path, rule="must be a list of at least one recipe", value=raw)]
    problems: list[Problem] = []
    recipes = []
    for index, one in enumerate(raw):
        try:
            recipes.append(_recipe(one, join_path(path, index), space, setting))
        except SpecError as error:
            problems += error.problems
    return tuple(recipes), problems


def _recipe(raw: object, path: str, space: Space | None, setting: Setting) -> Recipe:
    problems: list[Problem] = []
    given = _given(raw, path, problems)
    if problems:
        raise SpecError(problems)
    values = given if space is None else {**_completed(given, path, space), **given}
    try:
        recipe = Recipe.from_flat(values)
    except SpecError as error:
        raise SpecError(_below(path, error.problems)) from None
    try:
        resolve_freeze_depth(recipe.freeze_depth, backbone=recipe.backbone)
    except ValueError as error:  # a recipe takes an own backbone's resolved depth as it is
        where = join_path(path, "freeze_depth")
        raise SpecError([Problem(path=where, rule=str(error), value=recipe.freeze_depth)]) from None
    flat = recipe.flat()
    broken = [
        Problem(path=join_path(path, rule.names[0]), rule=text, value=flat[rule.names[0]])
        for rule, text in broken_rules(flat, setting)
    ]
    if broken:
        raise SpecError(broken)
    return recipe


def _below(path: str, problems: tuple[Problem, ...]) -> list[Problem]:
    return [Problem(path=join_path(path, one.path), rule=one.rule, value=one.value) for one in problems]


def _given(raw: object, path: str, problems: list[Problem], group: str = "") -> dict[str, Value]:
    """The names and values that a point writes, nested or dotted."""
    if not isinstance(raw, Mapping):
        problems.append(Problem(path=path, rule="must be a mapping of names to values", value=raw))
        return {}
    given: dict[str, Value] = {}
    for key, value in nest(raw, path, problems).items():
        name, where = f"{group}.{key}" if group else key, join_path(path, key)
        if name in GROUPS:
            given |= _given(value, where, problems, name)
        elif name not in PARAMETERS:
            inside = [one.removeprefix(f"{group}.") for one in PARAMETERS if one.startswith(f"{group}.")]
            problems.append(
                Problem(path=where, rule=f"unknown name{did_you_mean(key, inside or [*PARAMETERS, *GROUPS])}")
            )
        else:
            try:
                given[name] = PARAMETERS[name].check(value)
            except ValueError as error:
                problems.append(Problem(path=where, rule=str(error), value=value))
    return given


def _completed(given: Mapping[str, Value], path: str, space: Space) -> dict[str, Value]:
    """`given` with the rest of the space's values, as close to its default point as they allow."""

    def offer(entry: Entry, drawn: Mapping[str, Value]) -> tuple[Value, ...]:
        default = default_value(entry, drawn)
        if entry.name is None:
            assert isinstance(entry.domain, Choice)
            return (default, *(label for label in entry.domain.values if label != default))
        if entry.name not in given:
            return (default,)
        return spelled_in(entry, given[entry.name], str(drawn.get("backbone", _DEFAULT_BACKBONE)))

    for point in space.points(offer):
        values = _named(space, point)
        if all(_agrees(name, value, values) for name, value in given.items()):
            return values
    raise SpecError(_outside(given, path, space))


def _named(space: Space, point: Point) -> dict[str, Value]:
    names = {entry.key: entry.name for entry in space.entries}
    return {name: value for key, value in point.items() if (name := names[key]) is not None}


def _agrees(name: str, value: Value, drawn: Mapping[str, Value]) -> bool:
    """Return whether a recipe of the space with these drawn values has `value` under `name`."""
    return name in drawn or _is_left_at(name, value, drawn)


def _is_left_at(name: str, value: Value, beside: Mapping[str, Value]) -> bool:
    """Return whether a name that is not drawn has this value, given the others."""
    parameter = PARAMETERS[name]
    decider = parameter.decided_by
    return same(value, parameter.default(beside.get(decider, PARAMETERS[decider].default()) if decider else None))


def _outside(given: Mapping[str, Value], path: str, space: Space) -> list[Problem]:
    problems = []
    backbone = str(given.get("backbone", _DEFAULT_BACKBONE))
    for name, value in given.items():
        entries = [entry for entry in space.entries if entry.name == name]
        where = join_path(path, name)
        if entries and not any(spelled_in(entry, value, backbone) for entry in entries):
            problems.append(Problem(path=where, rule="lies outside the space", value=value))
        elif not entries and not _is_left_at(name, value, given):
            problems.append(Problem(path=where, rule="is not what the space leaves it at", value=value))
    return problems or [Problem(path=path, rule="no recipe of the space has these values together")]
