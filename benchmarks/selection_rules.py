"""Ways to pick a recipe after a sweep, each with its cost in retrainings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from selection_curves import Curves
from selection_sweeps import Draws, SearchResult

from search_spaces import Recipe
from search_spaces.backbones import BACKBONES
from service.confirmations import ConfirmRule, Decision, RetrainedRecipe, SearchEvidence, bootstrap, decide

BOOTSTRAP_SEED: Final = 0
"""Seed of the bootstrap of every decision. The images differ from sweep to sweep, so that the draws may be the same."""

bootstrap.draw_image_counts = lru_cache(maxsize=1)(bootstrap.draw_image_counts)

Scores = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A picked recipe, the retrainings that it took, and the interval of its accuracy if the way gives one."""

    recipe: int
    retrainings: int = 0
    low: float = math.nan
    high: float = math.nan
    decision: Decision | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchedSweep:
    """A simulated sweep with all that a way to pick may read."""

    curves: Curves
    draws: Draws
    number: int
    result: SearchResult
    default: int
    costs: Sequence[float]
    identities: Sequence[str]

    def naive(self) -> Scores:
        """Return the val accuracy of each trial, best first."""
        return np.asarray(self.result.scores, dtype=np.float64)

    def search_scores(self) -> Scores:
        """Return the right answers of each trial on the val images, (trials, images)."""
        seed = self.draws.search_seed[self.number]
        right = self.curves.correct[self.result.recipes, seed, self.result.epochs]
        return np.asarray(right[:, self.draws.val[self.number]], dtype=np.float64)

    def retrained(self, recipe: int, seeds: int) -> RetrainedRecipe:
        """Return a recipe's right answers with fresh seeds."""
        chosen = self.draws.confirm_seeds[self.number, :seeds]
        epochs = self.draws.best_epoch[self.number, recipe, chosen]
        right = self.curves.correct[recipe, chosen, epochs]
        places = np.flatnonzero(self.result.recipes == recipe)
        return RetrainedRecipe(
            identity=self.identities[recipe],
            trial_number=int(self.result.numbers[places[0]]) if len(places) else 0,
            rank=int(places[0]) + 1 if len(places) else None,
            cost=self.costs[recipe],
            val=right[:, self.draws.val[self.number]].astype(np.float64),
            confirm=right[:, self.draws.confirm[self.number]].astype(np.float64),
        )

    def finalists(self, count: int) -> list[int]:
        """Return the best recipes of the search except the default."""
        return [int(recipe) for recipe in self.result.recipes if recipe != self.default][:count]


def training_cost(recipe: Recipe) -> float:
    """Return a number in the order of a training's multiply-adds: thawed stages first, then the hidden layer."""
    stages = BACKBONES[recipe.backbone].stages
    return float(1e6 * (stages - recipe.freeze_depth) + recipe.head.hidden)


def pick_argmax(sweep: SearchedSweep) -> Pick:
    """Take the recipe of the best trial."""
    return Pick(recipe=int(sweep.result.recipes[0]))


def pick_one_standard_error(sweep: SearchedSweep) -> Pick:
    """Take the cheapest recipe within a standard error of the best (Breiman et al. 1984, section 3.4.3)."""
    naive = sweep.naive()
    error = math.sqrt(naive[0] * (1 - naive[0]) / sweep.draws.val.shape[1])
    near = [int(recipe) for recipe, score in zip(sweep.result.recipes, naive, strict=True) if score >= naive[0] - error]
    return Pick(recipe=min(near, key=lambda recipe: sweep.costs[recipe]))


def pick_argmax_over_seeds(sweep: SearchedSweep, rule: ConfirmRule) -> Pick:
    """Retrain finalists and default, and take the best mean over seeds, val and confirmation images."""
    candidates = [*sweep.finalists(rule.top_k), sweep.default]
    means = [sweep.retrained(recipe, rule.seeds).pooled.mean() for recipe in candidates]
    return Pick(recipe=candidates[int(np.argmax(means))], retrainings=len(candidates) * rule.seeds)


def pick_confirmed(sweep: SearchedSweep, rule: ConfirmRule) -> Pick:
    """Take what `service.confirmations.decide` decides."""
    identities = [sweep.identities[recipe] for recipe in sweep.result.recipes]
    evidence = SearchEvidence(
        identities=identities, scores=sweep.search_scores(), naive=[float(value) for value in sweep.naive()]
    )
    default = sweep.retrained(sweep.default, rule.seeds)
    finalists = [sweep.retrained(recipe, rule.seeds) for recipe in sweep.finalists(rule.top_k)]
    decision = decide(evidence, default, finalists, rule, seed=BOOTSTRAP_SEED)
    rows = {sweep.identities[recipe]: recipe for recipe in [sweep.default, *sweep.finalists(rule.top_k)]}
    return Pick(
        recipe=rows[decision.recipe],
        retrainings=decision.retrainings,
        low=math.nan if decision.low is None else decision.low,
        high=math.nan if decision.high is None else decision.high,
        decision=decision,
    )
