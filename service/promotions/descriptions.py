"""The description and the tags of a promoted version: what speaks for it, as MLflow's pages show it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.ledgers import Sweep, Trial
from service.models.cards import ModelCard, write_card
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
    decision = request.evidence.get("decision") or {}
    expected = []
    if decision.get("low") is not None and decision.get("high") is not None:
        expected.append(
            f"Expected score: {decision['score']:.4f}, interval {decision['low']:.4f} to {decision['high']:.4f}."
        )
    if decision.get("naive") is not None:
        expected.append(f"The search had measured {decision['naive']:.4f}.")
    limits = [] if request.confirmed else ["It is unconfirmed: its score is likely to be better than on new images."]
    card = ModelCard(
        headline=f"**{request.headline[:1].upper()}{request.headline[1:]}.**",
        uri=f"models:/{request.model}@{request.alias}",
        test={"accuracy": float(right.mean())} if len(right) else {},
        test_images=len(right),
        evidence=[
            *([" ".join(expected)] if expected else []),
            f"Comparison with the version before: {comparison}.",
        ],
        limits=limits,
    )
    return write_card(sweep, trial, card)


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
