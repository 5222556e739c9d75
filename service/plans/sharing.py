"""Sharing between trials: the settings by which a trial computes once what others need too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from search_spaces import Recipe, SweepSpec, expected_recipes
from search_spaces.backbones import stage_count
from service.ledgers import Json
from service.settings import Home
from trainables.activations import SharingSettings, usual_cache_limit

HELD_BYTES = 512 * 1024 * 1024

_Body = tuple[str, str, str]
_Key = tuple[_Body, str | None, int, bool]
"""Key of activations: body, views, boundary, and whether they are maps that are still to be pooled."""


@dataclass(frozen=True)
class SharingSurvey:
    """The numbers of trials expected at each boundary of each backbone, and the place of the cache."""

    folder: str
    limit: int
    is_usual: bool
    scope: str
    _examples: Mapping[_Key, tuple[Recipe, float]]

    @classmethod
    def from_spec(cls, spec: SweepSpec, home: Home, sweep_id: str) -> SharingSurvey:
        """Survey a sweep by its list of points, or by draws of its space."""
        examples: dict[_Key, tuple[Recipe, float]] = {}
        for drawn, count in expected_recipes(spec):
            recipe = drawn.anchored(spec.folder)
            key = (_body(recipe), recipe.shared_views, recipe.freeze_depth, _gives_maps(recipe, recipe.freeze_depth))
            first, others = examples.get(key, (recipe, 0.0))
            examples[key] = first, others + count
        return cls(str(home.activations), cache_limit(spec, home), spec.data.cache is None, sweep_id, examples)

    def settings_for(self, recipe: Recipe) -> SharingSettings:
        """Return the settings for a trial of `recipe`."""
        trials: defaultdict[int, float] = defaultdict(float)
        readers: defaultdict[int, float] = defaultdict(float)
        for (body, views, depth, maps), (_, count) in self._examples.items():
            if depth and body == _body(recipe) and maps == _gives_maps(recipe, depth):
                readers[depth] += count
                trials[depth] += count if views is not None and views == recipe.shared_views else 0.0
        return SharingSettings(
            folder=self.folder,
            limit=self.limit,
            memory=HELD_BYTES,
            trials=dict(trials),
            readers=dict(readers),
            scope=self.scope,
            is_usual=self.is_usual,
        )

    def groups(self) -> Iterator[tuple[Recipe, float]]:
        """Yield a recipe of each backbone, kind of views and freeze depth that trials share, with their number."""
        yield from self._examples.values()

    def plain(self, recipe: Recipe) -> Json:
        """Return `settings_for(recipe)` as plain values."""
        return asdict(self.settings_for(recipe))


def cache_limit(spec: SweepSpec, home: Home) -> int:
    """Return `data.cache`, else `usual_cache_limit`."""
    return usual_cache_limit(home.root) if spec.data.cache is None else spec.data.cache


def share_alone(recipe: Recipe, home: Home, *, scope: str) -> SharingSettings:
    """Return the settings for a training outside any sweep: it reads what sweeps have cached, and keeps its own views.

    scope: a name of its own, which keeps views drawn by own code apart.
    """
    uses = {recipe.freeze_depth: 1.0} if recipe.freeze_depth else {}
    return SharingSettings(
        folder=str(home.activations),
        limit=usual_cache_limit(home.root),
        memory=HELD_BYTES,
        trials=uses,
        readers=uses,
        scope=scope,
    )


def _body(recipe: Recipe) -> _Body:
    return recipe.backbone, recipe.weights, recipe.precision


def _gives_maps(recipe: Recipe, depth: int) -> bool:
    """Return whether the recipe pools the activations of a boundary behind it, by a pool of its own."""
    return recipe.head.pool != "backbone" and depth == stage_count(recipe.backbone)
