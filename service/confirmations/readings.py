"""Scores of single images, read from the ledger, and the decision from them: a pure function of the ledger's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from search_spaces import Metric
from service.confirmations.contenders import Contender, counted_retrainings, rank_search
from service.confirmations.decisions import Decision, decide
from service.confirmations.distributions import t_quantile
from service.confirmations.estimates import rounded
from service.confirmations.evidence import FloatArray, RetrainedRecipe, SearchEvidence
from service.confirmations.intervals import score_interval
from service.confirmations.mean_squares import MeanSquares
from service.confirmations.records import Confirmation
from service.errors import ConfirmationError
from service.ledgers import Json, PackedPredictions, Sweep, Trial, TrialPhase, TrialState
from service.objectives import Limits
from trainables.training.predictions import unpack, unpack_labels

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = [
    "MEASURES",
    "compute_decision",
    "decided_measure",
    "read_scores",
    "read_search",
    "read_test_scores",
    "retrainings_of",
]

MEASURES = ("accuracy", "balanced_accuracy", "loss")
"""Metrics that are means of scores of single images, so that a confirmation can decide on them."""

_SMALLEST = float(np.finfo(np.float64).tiny)


def decided_measure(metric: str) -> str:
    """Return the measure that decides a sweep by `metric`: its own if it is a mean over images, else accuracy."""
    measure = Metric(metric).measure
    return measure if measure in MEASURES else "accuracy"


def read_search(ledger: Ledger, sweep: Sweep, ranked: Sequence[Trial], measure: str) -> SearchEvidence:
    """Return the scores of the search's trials on the val images; ranked: see `rank_search`.

    Raises:
        ConfirmationError: a trial has no predictions, or the sweep no labels, in the ledger.
    """
    predictions = ledger.predictions.of_sweep(sweep.id, "val")
    labels = _labels(ledger, sweep, "val")
    scores = []
    for trial in ranked:
        if trial.id not in predictions:
            raise _without_predictions(sweep, trial)
        scores.append(_scores(predictions[trial.id], labels, measure))
    table = np.stack(scores)
    return SearchEvidence(
        identities=[trial.identity for trial in ranked],
        scores=table,
        naive=[rounded(float(mean)) for mean in table.mean(axis=1)],
    )


def retrainings_of(confirmation: Confirmation, done: Sequence[Trial]) -> dict[str, list[Trial]]:
    """Return each recipe's completed retrainings by identity, one for each common seed that all recipes have.

    A failed retraining is replaced by the spare one of its recipe. If there is none, its seed is left out for all. A
    finalist with fewer than two is left out itself: a recipe whose trainings fail is no candidate for production.
    """
    *common, spare = confirmation.seeds
    completed = {(trial.identity, trial.seed): trial for trial in done if trial.state is TrialState.COMPLETED}
    rows: dict[str, dict[int, Trial]] = {}
    for contender in confirmation.contenders:
        row = {seed: completed[contender.identity, seed] for seed in common if (contender.identity, seed) in completed}
        replaced = next((seed for seed in common if seed not in row), None)
        if replaced is not None and (contender.identity, spare) in completed:
            row[replaced] = completed[contender.identity, spare]
        rows[contender.identity] = row
    default = confirmation.default.identity
    kept = {identity: row for identity, row in rows.items() if identity == default or len(row) >= 2}
    shared = [seed for seed in common if all(seed in row for row in kept.values())]
    return {identity: [row[seed] for seed in shared] for identity, row in kept.items()}


def compute_decision(ledger: Ledger, sweep: Sweep, confirmation: Confirmation) -> Decision:
    """Compute the decision from the ledger's rows alone.

    Raises:
        ConfirmationError: a trial of the search has no predictions in the ledger.
    """
    measure, bounded = confirmation.measure, confirmation.measure != "loss"
    ranked = rank_search(ledger.trials.list(sweep.id), sweep.goal)
    search = read_search(ledger, sweep, ranked, measure)
    done = ledger.trials.list(sweep.id, TrialPhase.CONFIRM)
    rows = retrainings_of(confirmation, done)
    scores = {
        split: read_scores(ledger, sweep, split, [trial for row in rows.values() for trial in row], measure)
        for split in ("val", "confirm")
    }
    broken = _broken_limits(ledger, sweep, rows)
    recipes = [
        _retrained(contender, rows[contender.identity], scores, broken[contender.identity])
        for contender in confirmation.contenders
        if contender.identity in rows
    ]
    spent = counted_retrainings(confirmation.contenders, confirmation.seeds, done)
    return decide(
        search,
        recipes[0],
        recipes[1:],
        confirmation.rule,
        seed=int(confirmation.digest[:8], 16),
        bounded=bounded,
        retrainings=len(spent),
    )


def read_test_scores(ledger: Ledger, sweep: Sweep, confirmation: Confirmation) -> Json | None:
    """Return the reading of the test images: means, their intervals, and the paired difference to the default.

    None if a model of the chosen recipe or of the default was not read on the test images.
    """
    decision = confirmation.decision
    if decision is None:
        return None
    measure = confirmation.measure
    rows = retrainings_of(confirmation, ledger.trials.list(sweep.id, TrialPhase.CONFIRM))
    wanted = dict.fromkeys((decision.recipe, confirmation.default.identity))
    trials = [trial for identity in wanted for trial in rows.get(identity, [])]
    packed = ledger.predictions.of_sweep(sweep.id, "test", phase=TrialPhase.CONFIRM)
    if not trials or any(trial.id not in packed for trial in trials):
        return None
    scores = read_scores(ledger, sweep, "test", trials, measure)
    tables = {identity: np.stack([scores[trial.id] for trial in rows[identity]]) for identity in wanted}
    reading: Json = {"images": int(next(iter(scores.values())).shape[0]), "seeds": len(trials) // len(wanted)}
    for name, identity in (("chosen", decision.recipe), ("default", confirmation.default.identity)):
        reading[name] = _mean_with_interval(tables[identity], confirmation)
    if decision.recipe != confirmation.default.identity:
        reading["difference"] = _difference(tables, decision.recipe, confirmation)
    deployed = rows[decision.recipe][0]
    reading["deployed"] = {"trial_id": deployed.id, "score": rounded(float(scores[deployed.id].mean()))}
    return reading


def _mean_with_interval(table: FloatArray, confirmation: Confirmation) -> Json:
    mean = rounded(float(table.mean()))
    if table.shape[0] < 2 or table.shape[1] < 2:
        return {"mean": mean, "low": None, "high": None}
    bounded = confirmation.measure != "loss"
    interval = score_interval(table, confidence=confirmation.rule.confidence, bounded=bounded)
    return {"mean": mean, "low": rounded(interval.low), "high": rounded(interval.high)}


def _difference(tables: Mapping[str, FloatArray], chosen: str, confirmation: Confirmation) -> Json:
    table = tables[chosen] - tables[confirmation.default.identity]
    mean = rounded(float(table.mean()))
    if table.shape[0] < 2 or table.shape[1] < 2:
        return {"mean": mean, "low": None, "high": None}
    variance = MeanSquares.measure(table).variance()
    half = t_quantile((1 + confirmation.rule.confidence) / 2, variance.df) * float(np.sqrt(variance.value))
    return {"mean": mean, "low": rounded(mean - half), "high": rounded(mean + half)}


def _broken_limits(ledger: Ledger, sweep: Sweep, rows: Mapping[str, Sequence[Trial]]) -> dict[str, str | None]:
    """Return by identity which limits of the sweep's metrics a retrained recipe breaks by its means over the seeds."""
    limits = Limits.from_sweep(sweep)
    epochs = ledger.trials.epochs_of(trial.id for trials in rows.values() for trial in trials)
    best = {
        identity: [row for trial in trials for row in epochs.get(trial.id, ()) if row.epoch == trial.best_epoch]
        for identity, trials in rows.items()
    }
    return {
        identity: limits.broken_by_means(trials[0].recipe, best[identity]) if trials else None
        for identity, trials in rows.items()
    }


def _retrained(
    contender: Contender,
    trials: Sequence[Trial],
    scores: Mapping[str, Mapping[str, FloatArray]],
    breaks: str | None,
) -> RetrainedRecipe:
    tables = {}
    for split, rows in scores.items():
        images = len(next(iter(rows.values()), ()))
        tables[split] = np.stack([rows[trial.id] for trial in trials]) if trials else np.empty((0, images))
    return RetrainedRecipe(
        identity=contender.identity,
        trial_number=contender.trial_number,
        rank=contender.rank,
        cost=contender.cost,
        val=tables["val"],
        confirm=tables["confirm"],
        breaks=breaks,
    )


def read_scores(
    ledger: Ledger, sweep: Sweep, split: str, trials: Sequence[Trial], measure: str
) -> dict[str, FloatArray]:
    """Return the score of each image of a split (N,) by retraining; a higher one is better.

    Raises:
        ConfirmationError: a retraining has no predictions in the ledger, or they cannot be read.
    """
    predictions = ledger.predictions.of_sweep(sweep.id, split, phase=TrialPhase.CONFIRM)
    if not trials:
        return {}
    labels = _labels(ledger, sweep, split)
    for trial in trials:
        if trial.id not in predictions:
            raise _without_predictions(sweep, trial)
    scores = {}
    for trial in trials:
        try:
            scores[trial.id] = _scores(predictions[trial.id], labels, measure)
        except ValueError as error:  # the text cannot be unpacked, or has another number of images
            raise ConfirmationError(
                f"the predictions of {trial.id} on the {split} images are damaged in the ledger; "
                "restore a backup with: meltpoint restore FILE"
            ) from error
    return scores


def _without_predictions(sweep: Sweep, trial: Trial) -> ConfirmationError:
    return ConfirmationError(
        f"{trial.id} has no predictions in the ledger, since an older version trained it and its folder is gone; "
        f"start another sweep, which can be confirmed, with: {sweep.start_command}"
    )


def _labels(ledger: Ledger, sweep: Sweep, split: str) -> np.ndarray:
    packed = ledger.predictions.labels(sweep.id, split)
    if packed is None:
        raise ConfirmationError(f"{sweep.id} has no labels of its images in the ledger, since an older version ran it")
    return unpack_labels(packed)


def _scores(packed: PackedPredictions, labels: np.ndarray, measure: str) -> FloatArray:
    """Return a score for each image (N,), of which a higher one is better.

    accuracy: 1 if the prediction is right. balanced_accuracy: N / (classes that occur * images of the class) if it is
    right, so that the mean is the mean recall. loss: the logarithm of the true class's probability.
    """
    predictions = unpack(packed.packed)
    if len(predictions.predicted) != len(labels):
        raise ValueError(f"{len(predictions.predicted)} predictions for {len(labels)} images")
    right: FloatArray = (predictions.predicted == labels).astype(np.float64)
    if measure == "accuracy":
        return right
    if measure == "balanced_accuracy":
        counts = np.bincount(labels)
        weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        balanced: FloatArray = right * weights[labels]
        return balanced
    logarithms: FloatArray = np.log(np.maximum(predictions.true_probability, _SMALLEST))
    return logarithms
