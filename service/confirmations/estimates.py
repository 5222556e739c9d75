"""The estimates that retrainings give: of one recipe, and of its difference to the default."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.confirmations.bootstrap import rank_optimism
from service.confirmations.distributions import t_cdf
from service.confirmations.evidence import FloatArray, RetrainedRecipe, SearchEvidence
from service.confirmations.intervals import difference_interval
from service.confirmations.mean_squares import MeanSquares, VarianceOfMean, pooled_seed_part
from service.confirmations.priors import estimate_prior

__all__ = ["DifferenceEstimate", "RecipeEstimate", "describe_recipe", "estimate_differences", "rounded"]

PLACES = 9
"""Decimals that a decision keeps, so that equal rows give equal bytes on every machine."""


@dataclass(frozen=True, kw_only=True)
class RecipeEstimate:
    """A retrained recipe: its mean score over seeds on confirmation images, and on val and confirmation images.

    `naive` is its score in the search; None for a default that did not finish. `breaks` are the limits that it breaks
    over its seeds, in words; None if it keeps all.
    """

    identity: str
    trial_number: int
    rank: int | None
    cost: float
    naive: float | None
    confirm_mean: float | None
    pooled_mean: float | None
    breaks: str | None = None


@dataclass(frozen=True, kw_only=True)
class DifferenceEstimate:
    """A finalist's mean score minus the default's, on val and confirmation images over all seeds.

    Attributes:
        recipe: the finalist.
        raw: the difference as measured.
        optimism: the part of it that is taken off, since the search chose the recipe; negative if the search's other
            trials let expect more than was measured.
        lead: raw - optimism.
        variance: of the lead; 0 if the difference is the same on all images with all seeds.
        df: degrees of freedom of the variance.
        probability: that the finalist is truly better; None if the decision gives none.
        low, high: the confidence interval of the difference.
    """

    recipe: RecipeEstimate
    raw: float
    optimism: float
    lead: float
    variance: float
    df: float
    probability: float | None
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasuredDifference:
    """A difference before rounding, for further computation.

    Attributes:
        recipe: the finalist.
        raw: the difference as measured. optimism: the part that is taken off.
        variance: of the measured difference.
        weight: the share of the measured difference in the lead, 0 to 1; the rest of the lead is prior knowledge.
    """

    recipe: RetrainedRecipe
    raw: float
    optimism: float
    variance: VarianceOfMean
    weight: float = 1.0

    @property
    def lead(self) -> float:
        """The difference without the search's luck, rounded so that equal leads are equal."""
        return rounded(self.raw - self.optimism)

    @property
    def lead_variance(self) -> float:
        """The variance of the lead: that of a normal mean with a normal prior."""
        return self.weight * self.variance.value

    @property
    def probability(self) -> float | None:
        """The probability of being better than the default; None if all predictions are the same."""
        if self.lead_variance == 0:
            return None if self.raw == 0 else float(self.lead > 0)
        return rounded(t_cdf(self.lead / math.sqrt(self.lead_variance), self.variance.df))

    def estimate(self, search: SearchEvidence, *, confidence: float, with_probability: bool) -> DifferenceEstimate:
        """Return the rounded figures."""
        interval = difference_interval(self.lead, self.lead_variance, df=self.variance.df, confidence=confidence)
        return DifferenceEstimate(
            recipe=describe_recipe(self.recipe, search),
            raw=rounded(self.raw),
            optimism=rounded(self.optimism),
            lead=self.lead,
            variance=rounded(self.lead_variance),
            df=rounded(self.variance.df),
            probability=self.probability if with_probability else None,
            low=rounded(interval.low),
            high=rounded(interval.high),
        )


def rounded(value: float) -> float:
    """Round to the decimals of a decision; there is no -0.0."""
    return round(float(value), PLACES) + 0.0


def describe_recipe(recipe: RetrainedRecipe, search: SearchEvidence) -> RecipeEstimate:
    """Return a recipe's means and its score in the search."""
    return RecipeEstimate(
        identity=recipe.identity,
        trial_number=recipe.trial_number,
        rank=recipe.rank,
        cost=float(recipe.cost),
        naive=None if recipe.rank is None else rounded(search.naive[recipe.rank - 1]),
        confirm_mean=rounded(recipe.confirm.mean()) if recipe.confirm.size else None,
        pooled_mean=rounded(recipe.pooled.mean()) if recipe.pooled.size else None,
        breaks=recipe.breaks,
    )


def estimate_differences(
    search: SearchEvidence, default: RetrainedRecipe, finalists: Sequence[RetrainedRecipe], *, seed: int
) -> list[MeasuredDifference]:
    """Return each finalist's difference to the default, in the order of `finalists`; needs two seeds or more.

    The part of the variance that is due to seeds is pooled over the finalists: by itself a finalist's has S - 1
    degrees of freedom, which wastes power.

    The search chose the finalists by the val images that are read again, so that their differences are too high. With
    a prior (see `estimate_prior`) the lead is the posterior mean: no choice makes it too high, as far as the prior is
    right. A search with too few trials for a prior has the luck of its choice taken off (see `_luck`).
    """
    if not finalists:
        return []
    tables = [MeanSquares.measure(recipe.pooled - default.pooled) for recipe in finalists]
    part, df = pooled_seed_part(tables)
    variances = [table.variance(seed_part=part, seed_df=df) for table in tables]
    prior = estimate_prior(search, default, seed_variance=part / tables[0].images)
    if prior is None:
        weights = [1.0] * len(tables)
        optimism = _luck(search, default, finalists, seed=seed)
    else:
        weights = [prior.weight(variance.value) for variance in variances]
        optimism = [(1 - weight) * (table.mean - prior.mean) for weight, table in zip(weights, tables, strict=True)]
    return [
        MeasuredDifference(recipe=recipe, raw=table.mean, optimism=taken_off, variance=variance, weight=weight)
        for recipe, table, taken_off, variance, weight in zip(
            finalists, tables, optimism, variances, weights, strict=True
        )
    ]


def _luck(
    search: SearchEvidence, default: RetrainedRecipe, finalists: Sequence[RetrainedRecipe], *, seed: int
) -> list[float]:
    """Return how much of each finalist's difference is expected to be the luck of the search's choice.

    Of the optimism of their ranks (see `rank_optimism`) only the share survives that belongs to the recipe and
    the images: the share that belonged to the search's own training seed is gone with fresh seeds.
    """
    share = surviving_share([recipe.val - default.val for recipe in finalists])
    val_share = default.val.shape[1] / default.pooled.shape[1]
    ranks = [recipe.rank or 1 for recipe in finalists]
    return [share * val_share * bias for bias in rank_optimism(search.scores, ranks, seed=seed)]


def surviving_share(differences: Sequence[FloatArray]) -> float:
    """Return the share of the luck on val images that another training seed keeps, 0 to 1.

    Each difference (seeds, val images) has a variance between images, sI^2 = max(MSI - MSE, 0) / S, and a variance of
    image and seed together, sE^2 = MSE. The share is sum sI^2 / sum (sI^2 + sE^2).
    """
    if differences[0].shape[1] < 2:
        return 0.0
    tables = [MeanSquares.measure(difference) for difference in differences]
    kept = sum(max(table.of_images - table.of_residual, 0.0) / table.seeds for table in tables)
    whole = kept + sum(table.of_residual for table in tables)
    return kept / whole if whole > 0 else 0.0
