"""The decision: a winner that is better than the default, or the default stands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from service.confirmations.distributions import expected_excess, normal_cdf
from service.confirmations.estimates import (
    DifferenceEstimate,
    MeasuredDifference,
    RecipeEstimate,
    describe_recipe,
    estimate_differences,
    rounded,
)
from service.confirmations.evidence import RetrainedRecipe, SearchEvidence, check_evidence
from service.confirmations.intervals import score_interval
from service.confirmations.mean_squares import MeanSquares
from service.confirmations.needed_images import needed_images, seeds_dominate
from service.confirmations.rules import IMAGES_FOR_CLAIM, IMAGES_FOR_PROBABILITY, ConfirmRule

__all__ = ["Decision", "Doubt", "Outcome", "decide"]

Json = dict[str, Any]


class Outcome(StrEnum):
    """How a confirmation ends."""

    WINNER = "winner"
    """A finalist is better than the default with the probability of the gate."""

    DEFAULT_STANDS = "default_stands"
    """A finalist is ahead, but not with the probability of the gate."""

    DEFAULT_BEST = "default_best"
    """No finalist is ahead of the default."""

    NO_CLAIM = "no_claim"
    """The images or the retrainings are too few to say anything."""


class Doubt(StrEnum):
    """Why a decision gives no probability."""

    FEW_SEEDS = "few_seeds"
    """Fewer than two retrainings of each recipe are left."""

    FEW_IMAGES_FOR_CLAIM = "few_images_for_claim"
    FEW_IMAGES_FOR_PROBABILITY = "few_images_for_probability"
    IDENTICAL_PREDICTIONS = "identical_predictions"
    """The leader is right on the same images as the default, with all seeds."""

    NO_FINALISTS = "no_finalists"
    """The search finished no recipe besides the default."""

    LIMITS_BROKEN = "limits_broken"
    """Every finalist breaks a limit of the sweep's metrics with fresh seeds."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A decision as plain values, rounded so that the same ledger gives the same bytes on every machine.

    Attributes:
        outcome: how the confirmation ended.
        doubt: why there is no probability; None if there is one.
        recipe: identity of the recipe to use: the winner's, else the default's.
        winner: identity of the winner; None without one.
        leader: identity of the finalist with the highest lead among those that keep every limit, also if it is not
            confirmed; None if there is none.
        probability: that the leader is truly better than the default.
        default: the default.
        finalists: each finalist's difference to the default, in the order of the search.
        expected_shortfall: expected loss of score against the leader, if a cheaper recipe won; else None.
        score, low, high: mean score of `recipe` on the confirmation images over its seeds, and its interval; low and
            high are None if no claim is made.
        naive: score of `recipe` in the search; None for a default that did not finish.
        optimism: part of the difference of `recipe` that was taken off, see `DifferenceEstimate`; 0 for the default.
        agreement: chance that a repeat of the same size would see the leader ahead again; None without a probability.
        needed_images: val + confirmation images that would confirm the leader; None if it won or is not ahead.
        needs_seeds: if most of the uncertainty comes from training seeds, so that more images would help little.
        seeds, val_images, confirm_images, retrainings: what the decision rests on.
        gate, tolerance, confidence: the rule.
        bounded: if scores lie in 0..1; else they are negative losses.
    """

    outcome: Outcome
    doubt: Doubt | None
    recipe: str
    winner: str | None
    leader: str | None
    probability: float | None
    default: RecipeEstimate
    finalists: tuple[DifferenceEstimate, ...]
    expected_shortfall: float | None
    score: float | None
    low: float | None
    high: float | None
    naive: float | None
    optimism: float
    agreement: float | None
    needed_images: int | None
    needs_seeds: bool
    seeds: int
    val_images: int
    confirm_images: int
    retrainings: int
    gate: float
    tolerance: float
    confidence: float
    bounded: bool = True

    def as_json(self) -> Json:
        """Return the decision as JSON values."""
        return asdict(self) | {
            "outcome": self.outcome.value,
            "doubt": self.doubt and self.doubt.value,
            "finalists": [asdict(finalist) for finalist in self.finalists],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Decision:
        """Return the decision that `as_json` gave. Raises TypeError or ValueError if it is another document."""
        finalists = tuple(
            DifferenceEstimate(**{**finalist, "recipe": RecipeEstimate(**finalist["recipe"])})
            for finalist in values["finalists"]
        )
        return cls(
            **{
                **values,
                "outcome": Outcome(values["outcome"]),
                "doubt": None if values["doubt"] is None else Doubt(values["doubt"]),
                "default": RecipeEstimate(**values["default"]),
                "finalists": finalists,
            }
        )

    def finalist(self, identity: str) -> DifferenceEstimate:
        """Return the estimate of a finalist. Raises KeyError if there is none of this identity."""
        for finalist in self.finalists:
            if finalist.recipe.identity == identity:
                return finalist
        raise KeyError(identity)


def decide(
    search: SearchEvidence,
    default: RetrainedRecipe,
    finalists: Sequence[RetrainedRecipe],
    rule: ConfirmRule,
    *,
    seed: int,
    bounded: bool = True,
    retrainings: int | None = None,
) -> Decision:
    """Decide whether a finalist replaces the default.

    The leader is the finalist whose lead over the default is highest, see `estimate_differences`, among those that keep
    every limit. It wins if its lead is positive with the probability `rule.gate`, by Student's t. A cheaper finalist is
    taken in its place only if it passes the gate itself and its expected shortfall against the leader is within
    `rule.tolerance`. Equal leads are ordered by the search's ranks. The order of finalists, seeds and images changes
    nothing.

    Args:
        search: the search's finished trials.
        default: the retrained default recipe.
        finalists: retrained recipes besides the default.
        rule: what a winner must show.
        seed: seed of the bootstrap, from the sweep's digest.
        bounded: if mean scores lie in 0..1, as those of accuracy do; those of the loss do not.
        retrainings: trainings that were spent, failed ones included; by default those given.

    Raises:
        ValueError: recipes, seeds or images do not match.
    """
    check_evidence(search, default, finalists)
    ordered = sorted(finalists, key=lambda recipe: (recipe.rank or 0, recipe.trial_number))
    differences = estimate_differences(search, default, ordered, seed=seed) if default.seeds > 1 else []
    usable = [difference for difference in differences if difference.recipe.breaks is None]
    leader = max(usable, key=lambda difference: difference.lead, default=None)
    doubt = _doubt(leader, default, are_finalists_broken=bool(differences) and not usable)
    winner = _winner(leader, usable, rule) if leader is not None and doubt is None else None
    return Decision(
        outcome=_outcome(leader, winner, doubt),
        doubt=doubt,
        winner=None if winner is None else winner.recipe.identity,
        default=describe_recipe(default, search),
        finalists=tuple(
            difference.estimate(search, confidence=rule.confidence, with_probability=doubt in _PROBABLE)
            for difference in differences
        ),
        expected_shortfall=None if winner is None or winner is leader else _shortfall(leader, winner),
        optimism=0.0 if winner is None else rounded(winner.optimism),
        seeds=default.seeds,
        val_images=default.val.shape[1],
        confirm_images=default.confirm.shape[1],
        retrainings=default.seeds * (len(ordered) + 1) if retrainings is None else retrainings,
        gate=rule.gate,
        tolerance=rule.tolerance,
        confidence=rule.confidence,
        bounded=bounded,
        **_about_leader(leader, doubt, rule, is_confirmed=winner is not None),
        **_about_choice(search, default if winner is None else winner.recipe, doubt, rule, bounded=bounded),
    )


_CLAIMLESS: Final = (Doubt.FEW_SEEDS, Doubt.FEW_IMAGES_FOR_CLAIM)
"""Doubts with which not even a score's interval is given."""

_PROBABLE: Final = (None, Doubt.IDENTICAL_PREDICTIONS, Doubt.LIMITS_BROKEN)
"""Doubts with which the probabilities of other finalists than the leader are given."""


def _about_leader(
    leader: MeasuredDifference | None, doubt: Doubt | None, rule: ConfirmRule, *, is_confirmed: bool
) -> Json:
    """Return the decision's figures about the leader; it is told what is missing if it is ahead unconfirmed."""
    if leader is None:
        return dict.fromkeys(("leader", "probability", "agreement", "needed_images")) | {"needs_seeds": False}
    is_missing = leader.lead > 0 and not is_confirmed and leader.variance.value > 0
    return {
        "leader": leader.recipe.identity,
        "probability": None if doubt is not None else leader.probability,
        "agreement": None if doubt is not None else _agreement(leader),
        "needed_images": needed_images(leader.lead, leader.variance, gate=rule.gate) if is_missing else None,
        "needs_seeds": is_missing and seeds_dominate(leader.variance),
    }


def _about_choice(
    search: SearchEvidence, chosen: RetrainedRecipe, doubt: Doubt | None, rule: ConfirmRule, *, bounded: bool
) -> Json:
    """Return the decision's figures about the recipe to use."""
    recipe = describe_recipe(chosen, search)
    about = {"recipe": recipe.identity, "score": recipe.confirm_mean, "naive": recipe.naive, "low": None, "high": None}
    if doubt in _CLAIMLESS:
        return about
    interval = score_interval(chosen.confirm, confidence=rule.confidence, bounded=bounded)
    return about | {"low": rounded(interval.low), "high": rounded(interval.high)}


def _doubt(leader: MeasuredDifference | None, default: RetrainedRecipe, *, are_finalists_broken: bool) -> Doubt | None:
    images = default.confirm.shape[1]
    if default.seeds < 2:
        return Doubt.FEW_SEEDS
    if images < IMAGES_FOR_CLAIM:
        return Doubt.FEW_IMAGES_FOR_CLAIM
    if leader is None:
        return Doubt.LIMITS_BROKEN if are_finalists_broken else Doubt.NO_FINALISTS
    if leader.probability is None:
        return Doubt.IDENTICAL_PREDICTIONS
    compared = images + default.val.shape[1]
    return Doubt.FEW_IMAGES_FOR_PROBABILITY if compared < IMAGES_FOR_PROBABILITY else None


def _outcome(leader: MeasuredDifference | None, winner: MeasuredDifference | None, doubt: Doubt | None) -> Outcome:
    if doubt in _CLAIMLESS:
        return Outcome.NO_CLAIM
    if winner is not None:
        return Outcome.WINNER
    return Outcome.DEFAULT_STANDS if leader is not None and leader.lead > 0 else Outcome.DEFAULT_BEST


def _winner(
    leader: MeasuredDifference, differences: Sequence[MeasuredDifference], rule: ConfirmRule
) -> MeasuredDifference | None:
    """Return the leader if it passes the gate, or the cheapest recipe that passes and is nearly as good."""
    if (leader.probability or 0.0) < rule.gate:
        return None
    passing = [difference for difference in differences if (difference.probability or 0.0) >= rule.gate]
    near = [
        difference
        for difference in passing
        if difference.recipe.cost < leader.recipe.cost and _shortfall(leader, difference) <= rule.tolerance
    ]
    return min(near, key=lambda difference: (difference.recipe.cost, -difference.lead), default=leader)


def _shortfall(leader: MeasuredDifference | None, other: MeasuredDifference) -> float:
    """Return the mean of the leader's true advance over the other if positive, else of 0, by a normal distribution."""
    assert leader is not None, "a winner has a leader"
    table = MeanSquares.measure(leader.recipe.pooled - other.recipe.pooled)
    return rounded(expected_excess(leader.lead - other.lead, math.sqrt(table.variance().value)))


def _agreement(leader: MeasuredDifference) -> float | None:
    """Return the chance that a repeat of this size has the same sign; the lead and the repeat carry noise."""
    if leader.variance.value == 0:
        return None
    return rounded(normal_cdf(abs(leader.lead) / math.sqrt(leader.lead_variance + leader.variance.value)))
