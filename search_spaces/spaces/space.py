"""A space: a distribution over recipes, in which one choice may open or close others."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from search_spaces.backbones import resolve_freeze_depth, stage_count
from search_spaces.recipes import PARAMETERS, Recipe, Value, same
from search_spaces.spaces.domains import Choice, Domain

Point: TypeAlias = dict[str, Value]
"""The drawn values by entry key, without the entries that are not active."""

_OTHERS: Final = object()


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A condition that is true if `key` (an entry's key, or a recipe name) was drawn with an `allowed` value."""

    key: str
    allowed: tuple[Value, ...]

    def is_met(self, drawn: Mapping[str, Value]) -> bool:
        """Return whether the condition is true for these drawn values."""
        return self.key in drawn and self.allows(drawn[self.key])

    def allows(self, value: object) -> bool:
        """Return whether `value` is one of the allowed values."""
        return any(same(value, allowed) for allowed in self.allowed)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A choice that a space draws.

    `key` is unique and qualified by branch, such as `optimizer[adamw].lr`. `name` is the recipe name that the entry
    sets, None for the selector of a one_of. The entry is active if all `conditions` are met. `inherited` is true if it
    comes from the shipped space that a document extends; this does not count when entries are compared.
    """

    key: str
    name: str | None
    domain: Domain
    conditions: tuple[Condition, ...] = ()
    inherited: bool = field(default=False, compare=False)

    def is_active(self, drawn: Mapping[str, Value]) -> bool:
        """Return whether the entry is drawn, after the values drawn before it."""
        return all(condition.is_met(drawn) for condition in self.conditions)


@dataclass(frozen=True)
class Space:
    """Entries, each after those that its conditions refer to."""

    entries: tuple[Entry, ...] = ()

    def walk(self, choose: Callable[[Entry], Value]) -> Point:
        """Return the point whose values `choose` gives; it is called for each active entry, in order.

        Raises:
            ValueError: `choose` returned a value outside the entry's domain.
        """
        point: Point = {}
        drawn: dict[str, Value] = {}
        for entry in self.entries:
            if not entry.is_active(drawn):
                continue
            value = choose(entry)
            if not entry.domain.contains(value):
                raise ValueError(f"{entry.key} must lie in {entry.domain} ({value!r})")
            point[entry.key] = value
            drawn |= _drawn(entry, value)
        return point

    def recipe(self, point: Mapping[str, Value]) -> Recipe:
        """Return the recipe of a point, with the vocabulary's defaults for names that the point does not draw."""
        names = {entry.key: entry.name for entry in self.entries}
        return Recipe.from_flat({str(names[key]): value for key, value in point.items() if names[key] is not None})

    def default(self) -> Point:
        """Return the default point: each domain's default, else the vocabulary's, else the first value of a list."""
        drawn: dict[str, Value] = {}

        def choose(entry: Entry) -> Value:
            value = default_value(entry, drawn)
            drawn.update(_drawn(entry, value))
            return value

        return self.walk(choose)

    def contains(self, recipe: Recipe) -> bool:
        """Return whether a point of this space gives `recipe`."""
        return self.find_point(recipe) is not None

    def find_point(self, recipe: Recipe) -> Point | None:
        """Return the first point of this space that gives `recipe`; None if there is none."""
        flat = recipe.flat()
        points = self.points(lambda entry, _: _agreeing(entry, flat))
        return next((point for point in points if self.recipe(point) == recipe), None)

    def offers(self, name: str, flat: Mapping[str, object]) -> bool:
        """Return whether an entry for `name` has the value that a recipe has; flat: the recipe's values by name."""
        return any(_agreeing(entry, flat) for entry in self.entries if entry.name == name)

    def points(self, offer: Callable[[Entry, Mapping[str, Value]], Iterable[Value]]) -> Iterator[Point]:
        """Yield every point whose values `offer` gives, in the order of `offer`.

        `offer` receives an active entry and the values drawn before it, and must stay within the entry's domain.
        """
        return self._points(offer, 0, {}, {})

    def _points(
        self,
        offer: Callable[[Entry, Mapping[str, Value]], Iterable[Value]],
        index: int,
        point: Point,
        drawn: Mapping[str, Value],
    ) -> Iterator[Point]:
        while index < len(self.entries) and not self.entries[index].is_active(drawn):
            index += 1
        if index == len(self.entries):
            yield point
            return
        entry = self.entries[index]
        for value in offer(entry, drawn):
            yield from self._points(offer, index + 1, point | {entry.key: value}, {**drawn, **_drawn(entry, value)})

    def size(self) -> int | None:
        """Return the number of points; None if a continuous range makes it infinite."""
        if any(entry.domain.size is None for entry in self.entries):
            return None
        return _total(self.entries, {})

    def point_at(self, index: int) -> Point:
        """Return the point number `index`, from 0 to below `size()`, of a space that is finite.

        The first entry varies slowest, each in the order of its domain.
        """
        assert 0 <= index < (self.size() or 0), index
        point: Point = {}
        drawn: dict[str, Value] = {}
        for position, entry in enumerate(self.entries):
            if entry.is_active(drawn):
                value, index = _located(entry, self.entries[position + 1 :], drawn, index)
                point[entry.key] = value
                drawn |= _drawn(entry, value)
        return point


def sample(space: Space, rng: random.Random) -> Point:
    """Draw a random point: each active entry uniformly over the unit interval of its domain."""
    return space.walk(lambda entry: entry.domain.from_unit(rng.random()))


def default_value(entry: Entry, drawn: Mapping[str, Value]) -> Value:
    """Return the value of `entry` in the default point, after the values drawn before it."""
    if entry.domain.default is not None:
        return entry.domain.default
    for value in vocabulary_defaults(entry, drawn):
        if entry.domain.contains(value):
            return value
    return entry.domain.from_unit(0.0)


def vocabulary_defaults(entry: Entry, drawn: Mapping[str, Value]) -> tuple[Value, ...]:
    """Return the vocabulary's default for `entry`, in each spelling; for a selector, the default branch's label."""
    if entry.name is None:
        selector = PARAMETERS.get(f"{entry.key}.name")
        label = selector.default() if selector else None
        return () if label is None else (label,)
    parameter = PARAMETERS[entry.name]
    decider = parameter.decided_by
    chosen = None if decider is None else drawn.get(decider, PARAMETERS[decider].default())
    value = parameter.default(chosen)
    if value is None:
        return ()
    backbone = str(drawn.get("backbone", PARAMETERS["backbone"].default()))
    return depth_spellings(value, backbone) if parameter.kind == "depth" else (value,)


def depth_spellings(depth: Value, backbone: str) -> tuple[Value, ...]:
    """Return every way to write a freeze depth of a backbone: counted from the image, from the features, or `all`."""
    assert isinstance(depth, int | str)
    resolved, stages = resolve_freeze_depth(depth, backbone=backbone), stage_count(backbone)
    if resolved == stages:
        return "all", stages
    return resolved, resolved - stages


def _drawn(entry: Entry, value: Value) -> dict[str, Value]:
    return {entry.key: value} if entry.name is None else {entry.key: value, entry.name: value}


def _agreeing(entry: Entry, flat: Mapping[str, object]) -> tuple[Value, ...]:
    """Return the values of an entry's domain that give the recipe with these flat values."""
    if entry.name is None:
        assert isinstance(entry.domain, Choice)
        return entry.domain.values
    if entry.name not in flat:
        return ()
    return spellings_in(entry, _plain(flat[entry.name]), str(flat["backbone"]))


def spellings_in(entry: Entry, value: Value, backbone: str) -> tuple[Value, ...]:
    """Return the spellings of `value` that the domain of `entry` contains; none if this backbone has no such depth."""
    try:
        spellings = depth_spellings(value, backbone) if entry.name == "freeze_depth" else (value,)
    except ValueError:
        return ()
    return tuple(spelling for spelling in spellings if entry.domain.contains(spelling))


def _plain(value: object) -> Value:
    if isinstance(value, list):
        return tuple(float(number) for number in value)
    assert isinstance(value, bool | int | float | str)
    return value


def _total(entries: tuple[Entry, ...], drawn: Mapping[str, object]) -> int:
    """Count the points of `entries` after the values drawn before them."""
    return math.prod(_count(part, 0, drawn) for part in _independent(entries))


def _located(entry: Entry, later: tuple[Entry, ...], drawn: Mapping[str, object], index: int) -> tuple[Value, int]:
    """Return the value of `entry` in point number `index`, and the number of that point among those with this value."""
    mentioned = _mentioned(entry, later)
    others = _total(later, {**drawn, **_keys(entry, _OTHERS)})
    if not mentioned:
        return entry.domain.value_at(index // others), index % others
    for value in map(entry.domain.value_at, range(entry.domain.size or 0)):
        is_mentioned = any(same(value, other) for other in mentioned)
        count = _total(later, {**drawn, **_keys(entry, value)}) if is_mentioned else others
        if index < count:
            return value, index
        index -= count
    raise AssertionError("a point's number lies below the size")


def _independent(entries: tuple[Entry, ...]) -> list[list[Entry]]:
    """Split the entries into parts that do not depend on each other, each part in order."""
    parts: list[list[Entry]] = []
    for entry in entries:
        required = {condition.key for condition in entry.conditions}
        joined = [part for part in parts if any({other.key, other.name} & required for other in part)]
        parts = [part for part in parts if part not in joined]
        parts.append([other for other in entries if other is entry or any(other in part for part in joined)])
    return parts


def _count(entries: list[Entry], index: int, drawn: Mapping[str, object]) -> int:
    """Count the points of `entries[index:]`; values that no condition mentions are counted together."""
    while index < len(entries) and not _is_active(entries[index], drawn):
        index += 1
    if index == len(entries):
        return 1
    entry = entries[index]
    size = entry.domain.size
    assert size is not None
    mentioned = _mentioned(entry, entries[index + 1 :])
    total = sum(_count(entries, index + 1, {**drawn, **_keys(entry, value)}) for value in mentioned)
    if size > len(mentioned):
        total += (size - len(mentioned)) * _count(entries, index + 1, {**drawn, **_keys(entry, _OTHERS)})
    return total


def _is_active(entry: Entry, drawn: Mapping[str, object]) -> bool:
    return all(condition.key in drawn and condition.allows(drawn[condition.key]) for condition in entry.conditions)


def _keys(entry: Entry, value: object) -> dict[str, object]:
    return {entry.key: value} if entry.name is None else {entry.key: value, entry.name: value}


def _mentioned(entry: Entry, later: Sequence[Entry]) -> list[Value]:
    """Return the values of `entry` that the conditions of later entries mention, each once."""
    mentioned: list[Value] = []
    for condition in (condition for other in later for condition in other.conditions):
        if condition.key in (entry.key, entry.name):
            new = [value for value in condition.allowed if entry.domain.contains(value)]
            mentioned += [value for value in new if not any(same(value, other) for other in mentioned)]
    return mentioned
