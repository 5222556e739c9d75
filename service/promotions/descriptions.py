"""The description and the tags of a promoted version: what speaks for it, as MLflow's pages show it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces import Metric
from search_spaces.backbones import written_freeze_depth
from service.ledgers import Sweep, Trial
from service.promotions.requests import PromotionRequest

__all__ = ["describe_version", "version_tags"]

_LONGEST_TAG = 5000
"""Characters that MLflow takes in the value of a version's tag."""


def describe_version(
    sweep: Sweep, trial: Trial, request: PromotionRequest, right: NDArray[np.bool_], comparison: str
) -> str:
    """Return the version's description in Markdown.

    right: on which test images the model is right. comparison: with the champion before, in one sentence.
    """
    metric = Metric(sweep.metric)
    scores = [] if trial.best_value is None else [f"{metric} {trial.best_value:.4f} in epoch {trial.best_epoch}"]
    if len(right):
        scores.append(f"test/accuracy {right.mean():.4f} ({int(right.sum())} of {len(right)} images)")
    decision = request.evidence.get("decision") or {}
    expected = []
    if decision.get("low") is not None and decision.get("high") is not None:
        expected.append(
            f"Expected score: {decision['score']:.4f}, interval {decision['low']:.4f} to {decision['high']:.4f}."
        )
    if decision.get("naive") is not None:
        expected.append(f"The search had measured {decision['naive']:.4f}.")
    depth = written_freeze_depth(trial.recipe["freeze_depth"], backbone=str(trial.recipe["backbone"]))
    recipe = trial.recipe | {"freeze_depth": f"{depth} ({trial.recipe['freeze_depth']} stages are frozen)"}
    headline = request.headline[:1].upper() + request.headline[1:]
    return "\n".join(
        [
            f"**{headline}.**",
            f"Sweep {sweep.id} ({sweep.name}), {trial.id}.",
            *([" ".join(expected)] if expected else []),
            "",
            f"Scores of this model: {', '.join(scores) or 'unknown'}.",
            f"Comparison with the version before: {comparison}.",
            f"Images: {sweep.data['name']}, {sweep.data['image_size']} px; classes in order: "
            f"{', '.join(sweep.data['classes'])}.",
            "",
            f"```\nmlflow models serve -m models:/{request.model}@{request.alias} --env-manager local -p 5001\n```",
            "",
            "| hyperparameter | value |",
            "| --- | --- |",
            *(f"| {name} | {value} |" for name, value in recipe.items()),
        ]
    )


def version_tags(request: PromotionRequest, right: NDArray[np.bool_], classes: Sequence[str]) -> dict[str, str]:
    """Return the tags of a promoted version, apart from those that every version of a trial has."""
    decision = request.evidence.get("decision") or {}
    numbers = {
        "meltpoint.score": decision.get("score"),
        "meltpoint.score_low": decision.get("low"),
        "meltpoint.score_high": decision.get("high"),
        "meltpoint.probability": decision.get("probability"),
        "meltpoint.test_accuracy": float(right.mean()) if len(right) else None,
    }
    tags = {
        "meltpoint.confirmed": "true" if request.confirmed else "false",
        "meltpoint.outcome": str(decision.get("outcome", "unconfirmed")),
        **{name: str(value) for name, value in numbers.items() if value is not None},
    }
    names = json.dumps(list(classes), ensure_ascii=False)
    return tags | ({"meltpoint.classes": names} if len(names) <= _LONGEST_TAG else {})
