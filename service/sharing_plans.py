"""What each trial is told of the trials around it, so that what they share is computed once."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from search_spaces import Recipe, SweepSpec, expected_recipes
from service.homes import Home
from service.records import Json
from trainables.sharing import SharingPlan

MOST_BYTES = 20_000_000_000
FREE_SHARE = 0.25
HELD_BYTES = 512 * 1024 * 1024

_Body = tuple[str, str, str]


@dataclass(frozen=True)
class SharingSurvey:
    """How many trials of a sweep are expected at each boundary of each backbone, and where its cache is."""

    folder: str
    limit: int
    scope: str
    _trials: Mapping[tuple[_Body, str, int], float]

    @classmethod
    def of(cls, spec: SweepSpec, home: Home, sweep_id: str) -> SharingSurvey:
        """From the list of points, or from draws of the space."""
        expected: defaultdict[tuple[_Body, str, int], float] = defaultdict(float)
        for recipe, count in expected_recipes(spec):
            recipe = recipe.anchored(spec.folder)
            expected[_body(recipe), recipe.augment.policy, recipe.freeze_depth] += count
        return cls(str(home.activations), cache_limit(spec, home), sweep_id, expected)

    def plan(self, recipe: Recipe) -> SharingPlan:
        """What a trial of `recipe` is told."""
        trials: defaultdict[int, float] = defaultdict(float)
        readers: defaultdict[int, float] = defaultdict(float)
        for (body, policy, depth), count in self._trials.items():
            if depth and body == _body(recipe):
                readers[depth] += count
                trials[depth] += count if policy == recipe.augment.policy else 0.0
        return SharingPlan(
            folder=self.folder,
            limit=self.limit,
            memory=HELD_BYTES,
            trials=dict(trials),
            readers=dict(readers),
            scope=self.scope,
        )

    def plain(self, recipe: Recipe) -> Json:
        """`plan` as plain values."""
        return asdict(self.plan(recipe))


def cache_limit(spec: SweepSpec, home: Home) -> int:
    """`data.cache`, else a quarter of the free disk and at most 20 GB."""
    if spec.data.cache is not None:
        return spec.data.cache
    return min(MOST_BYTES, int(shutil.disk_usage(home.root).free * FREE_SHARE))


def _body(recipe: Recipe) -> _Body:
    return recipe.backbone, recipe.weights, recipe.precision
