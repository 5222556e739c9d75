"""Forecasts of a sweep from its file alone."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from search_spaces.recipes import PARAMETERS, Recipe, Value
from search_spaces.spaces import Choice, Entry, Fixed, Space, sample
from search_spaces.sweeps.spec import SweepSpec

_DRAWS: Final = 256
_MOST_POINTS: Final = 10_000


def varying_names(spec: SweepSpec) -> list[str]:
    """The recipe names that differ between trials of the sweep, in the vocabulary's order.

    Of a space, as far as 256 draws show it. A name that only some recipes use differs if those that do differ.
    """
    flats = [recipe.flat() for recipe in recipes_drawn(spec)]
    return [name for name in PARAMETERS if len({repr(flat[name]) for flat in flats if name in flat}) > 1]


def recipes_drawn(spec: SweepSpec) -> list[Recipe]:
    """Return recipes like those of the sweep's trials: its points, or the default and 256 draws, always the same."""
    return list(spec.points) or _drawn(spec.space)


def weights_used(spec: SweepSpec) -> list[tuple[str, str]]:
    """Return the pairs of backbone and weights that trials of the sweep can start from.

    A relative path of a weights file starts at the sweep file's folder.
    """
    recipes = (recipe.anchored(spec.folder) for recipe in spec.points or _choices(spec.space, "backbone", "weights"))
    return list(dict.fromkeys((recipe.backbone, recipe.weights) for recipe in recipes))


def values_used(spec: SweepSpec, name: str) -> list[object]:
    """Return the values of a listed name, such as `augment.policy`, that trials of the sweep can draw."""
    flats = (recipe.flat() for recipe in spec.points or _choices(spec.space, name))
    return list(dict.fromkeys(flat[name] for flat in flats if name in flat))


def expected_recipes(spec: SweepSpec) -> list[tuple[Recipe, float]]:
    """Recipes and how often each is expected among the sweep's trials: its points, or 256 draws of its space."""
    recipes = recipes_drawn(spec)
    return [(recipe, spec.budget.trials / len(recipes)) for recipe in recipes]


def _drawn(space: Space) -> list[Recipe]:
    rng = random.Random(0)
    return [space.recipe(point) for point in (space.default(), *(sample(space, rng) for _ in range(_DRAWS)))]


def _choices(space: Space, *names: str) -> Iterator[Recipe]:
    """A recipe for every choice of these names, and of what they depend on; the rest is immaterial."""
    deciding = _deciding(space, names)

    def offer(entry: Entry, _: Mapping[str, Value]) -> Iterable[Value]:
        if isinstance(entry.domain, Fixed):
            return [entry.domain.value]
        if isinstance(entry.domain, Choice) and entry.key in deciding:
            return entry.domain.values
        return [entry.domain.from_unit(0.0)]

    return (space.recipe(point) for point in islice(space.points(offer), _MOST_POINTS))


def _deciding(space: Space, names: Iterable[str]) -> set[str]:
    """Keys of the entries that give these names, and of those that they are conditional on."""
    wanted = set(names)
    keys: set[str] = set()
    for entry in reversed(space.entries):
        if wanted & {entry.key, entry.name}:
            keys.add(entry.key)
            wanted |= {condition.key for condition in entry.conditions}
    return keys
