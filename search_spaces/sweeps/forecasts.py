"""Forecasts about a sweep's trials from its file alone."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from search_spaces.recipes import PARAMETERS, Recipe, Value
from search_spaces.records import Head
from search_spaces.spaces import Choice, Entry, Fixed, Space, grid_size, sample
from search_spaces.spaces.domains import Range
from search_spaces.sweeps.spec import SweepSpec

_DRAWS: Final = 256
_MOST_POINTS: Final = 10_000


def varying_names(spec: SweepSpec) -> list[str]:
    """Return the recipe names that differ between trials of the sweep, in the vocabulary's order.

    For a space, compare 256 draws. A name that only some recipes use counts if its values differ among these.
    """
    flats = [recipe.flat() for recipe in recipes_drawn(spec)]
    return [name for name in PARAMETERS if len({repr(flat[name]) for flat in flats if name in flat}) > 1]


def recipes_drawn(spec: SweepSpec) -> list[Recipe]:
    """Return the sweep's points; of a search, also the default recipe and 256 draws, which are always the same."""
    return list(spec.points) or [*spec.first_points, *_drawn(spec.space)]


def count_recipes(spec: SweepSpec) -> int | None:
    """Return the number of different recipes that trials can have; None if a continuous range makes it infinite.

    Of an explicit list this is its length; of a space of more than 1,000 points, the number of points.
    """
    if spec.search.algorithm == "points":
        return len(spec.points)
    return None if spec.space.size() is None else grid_size(spec.space)


def weights_used(spec: SweepSpec) -> list[tuple[str, str]]:
    """Return every pair of backbone and weights from which a trial of the sweep can start, each once.

    Relative paths of weights files are resolved against the sweep file's folder.
    """
    recipes = (recipe.anchored(spec.folder) for recipe in spec.points or _choices(spec.space, "backbone", "weights"))
    return list(dict.fromkeys((recipe.backbone, recipe.weights) for recipe in recipes))


def values_used(spec: SweepSpec, name: str) -> list[object]:
    """Return every value of a listed name, such as `augment.policy`, that a trial of the sweep can draw, each once."""
    flats = (recipe.flat() for recipe in spec.points or _choices(spec.space, name))
    return list(dict.fromkeys(flat[name] for flat in flats if name in flat))


def expected_recipes(spec: SweepSpec) -> list[tuple[Recipe, float]]:
    """Return the sweep's points or 256 draws of its space, with the expected number of trials of each."""
    recipes = recipes_drawn(spec)
    return [(recipe, spec.budget.trials / len(recipes)) for recipe in recipes]


def _drawn(space: Space) -> list[Recipe]:
    rng = random.Random(0)
    return [space.recipe(point) for point in (space.default(), *(sample(space, rng) for _ in range(_DRAWS)))]


def _choices(space: Space, *names: str) -> Iterator[Recipe]:
    """Yield a recipe for every choice of these names and of those that decide them; other names have any value."""
    deciding = _deciding(space, names)

    def offer(entry: Entry, _: Mapping[str, Value]) -> Iterable[Value]:
        if isinstance(entry.domain, Fixed):
            return [entry.domain.value]
        if isinstance(entry.domain, Choice) and entry.key in deciding:
            return entry.domain.values
        return [entry.domain.from_unit(0.0)]

    return (space.recipe(point) for point in islice(space.points(offer), _MOST_POINTS))


def _deciding(space: Space, names: Iterable[str]) -> set[str]:
    """Return the keys of the entries that give these names, and of the entries on which those are conditional."""
    wanted = set(names)
    keys: set[str] = set()
    for entry in reversed(space.entries):
        if wanted & {entry.key, entry.name}:
            keys.add(entry.key)
            wanted |= {condition.key for condition in entry.conditions}
    return keys


def architectures_used(spec: SweepSpec) -> list[tuple[str, Head]]:
    """Return the models that trials of the sweep can have: each backbone with each pool, and a head.

    The head's hidden layer is the largest that the space draws; the features of a model do not depend on it.
    """
    recipes = list(spec.points or _choices(spec.space, "backbone", "head.pool"))
    hidden = _largest(spec, "head.hidden")
    heads = {(recipe.backbone, recipe.head.pool): recipe.head for recipe in recipes}
    return [(backbone, head.model_copy(update={"hidden": hidden})) for (backbone, _), head in heads.items()]


def _largest(spec: SweepSpec, name: str) -> int:
    """Return the largest integer that a trial can have for this name."""
    if spec.points:
        return max(int(str(recipe.flat()[name])) for recipe in spec.points)
    domains = [entry.domain for entry in spec.space.entries if entry.name == name]
    ends = [domain.from_unit(1.0) if isinstance(domain, Range) else max(_listed(domain)) for domain in domains]
    return max((int(str(end)) for end in ends), default=0)


def _listed(domain: Fixed | Choice) -> tuple[Value, ...]:
    return (domain.value,) if isinstance(domain, Fixed) else domain.values
