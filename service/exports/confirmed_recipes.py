"""The recipe that a sweep's confirmation chose, with its score on fresh seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from service.confirmations import Confirmation, Contender, Decision, Outcome, explain_doubt, summarize_decision
from service.confirmations.estimates import rounded
from service.confirmations.readings import read_scores, retrainings_of
from service.exports.choices import RecipeChoice, training_policy
from service.exports.recipe_files import ChosenBy, ExpectedScore, Interval
from service.exports.training_intervals import training_interval
from service.ledgers import Json, Sweep, Trial, TrialPhase

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["choose_confirmed"]


def choose_confirmed(ledger: Ledger, sweep: Sweep) -> tuple[RecipeChoice | None, str | None]:
    """Return the choice of a decided confirmation; None with the reason if the confirmation makes no claim."""
    assert sweep.confirmation is not None
    confirmation = Confirmation.from_json(sweep.confirmation)
    decision, contender = confirmation.decision, confirmation.chosen
    assert decision is not None
    assert contender is not None
    done = ledger.trials.list(sweep.id, TrialPhase.CONFIRM)
    trials = retrainings_of(confirmation, done).get(contender.identity, [])
    if decision.outcome is Outcome.NO_CLAIM or decision.low is None or not trials:
        return None, explain_doubt(decision) or summarize_decision(decision)
    return (
        RecipeChoice(
            recipe=contender.recipe,
            chosen=_chosen(ledger, sweep, decision, contender),
            training=training_policy(
                sweep,
                seeds=[trial.seed for trial in trials],
                best_epochs=[trial.best_epoch or 1 for trial in trials],
                trained_epochs=max(trial.epochs for trial in trials),
            ),
            score=_expected(ledger, sweep, confirmation, decision, trials),
            evidence=_evidence(confirmation, decision),
        ),
        None,
    )


def _chosen(ledger: Ledger, sweep: Sweep, decision: Decision, contender: Contender) -> ChosenBy:
    searched = ledger.trials.list(sweep.id)
    return ChosenBy(
        how="confirmed" if decision.outcome is Outcome.WINNER else "default stands",
        because=summarize_decision(decision),
        sweep=sweep.id,
        name=sweep.name,
        trial=contender.trial_id,
        trials=max(1, len(searched)),
    )


def _expected(
    ledger: Ledger, sweep: Sweep, confirmation: Confirmation, decision: Decision, trials: Sequence[Trial]
) -> ExpectedScore:
    """Return the score on the confirmation images; that of the loss as a loss, of which a lower one is better."""
    measure = confirmation.measure
    by_trial = read_scores(ledger, sweep, "confirm", trials, measure)
    scores = np.stack([by_trial[trial.id] for trial in trials])
    bounded = measure != "loss"
    sign = 1.0 if bounded else -1.0
    single = training_interval(scores, confidence=decision.confidence, bounded=bounded)
    assert decision.score is not None
    assert decision.low is not None
    assert decision.high is not None
    return ExpectedScore(
        measure=measure,
        split="confirm",
        images=decision.confirm_images,
        value=rounded(sign * decision.score),
        by_seed=[rounded(sign * float(mean)) for mean in scores.mean(axis=1)],
        mean_interval=_signed(sign, decision.low, decision.high, decision.confidence),
        training_interval=_signed(sign, single.low, single.high, single.level),
        naive=None if decision.naive is None else rounded(sign * decision.naive),
    )


def _signed(sign: float, low: float, high: float, level: float) -> Interval:
    ends = sorted((rounded(sign * low), rounded(sign * high)))
    return Interval(low=ends[0], high=ends[1], level=level)


def _evidence(confirmation: Confirmation, decision: Decision) -> Json:
    """Return the figures behind the decision: about its leader, whether it won or not, and the reading of test."""
    leader = None if decision.leader is None else decision.finalist(decision.winner or decision.leader)
    about: dict[str, Any] = {
        "retrainings": decision.retrainings,
        "seeds": decision.seeds,
        "val_images": decision.val_images,
        "confirm_images": decision.confirm_images,
        "gate": decision.gate,
        "probability": decision.probability,
        "agreement": decision.agreement,
        "needed_images": decision.needed_images,
        "optimism": decision.optimism,
    }
    if leader is not None:
        about["difference_to_default"] = {
            "trial": leader.recipe.trial_number,
            "lead": leader.lead,
            "low": leader.low,
            "high": leader.high,
        }
    if confirmation.test is not None:
        about["test"] = confirmation.test
    return about
