"""Contenders: the recipes that a confirmation trains anew, and the trainings that this takes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from search_spaces import BACKBONES, Goal, Recipe
from service.ledgers import Json, Sweep, Trial, TrialState

__all__ = [
    "Contender",
    "Retraining",
    "Role",
    "choose_contenders",
    "confirmation_seeds",
    "counted_retrainings",
    "missing_retrainings",
    "rank_search",
    "sweep_digest",
]

_COUNTED_STATES = (TrialState.COMPLETED, TrialState.PRUNED)
_LATER_SETTINGS = ("budget.", "resources.", "register.", "confirm.")
"""Settings that may change when a sweep is resumed, and so do not count for its digest; the epochs cannot change."""


class Role(StrEnum):
    """The part of a recipe in a confirmation."""

    DEFAULT = "default"
    FINALIST = "finalist"


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A recipe that is trained anew.

    trial_id, trial_number: of its trial in the search; None and -1 for a default without a finished trial there.
    rank: place in the search, from 1. cost: multiply-adds of a training for each image and epoch, 0 if unknown.
    """

    identity: str
    trial_id: str | None
    trial_number: int
    rank: int | None
    role: Role
    recipe: Json
    cost: float

    def as_json(self) -> Json:
        """Return the contender as JSON values."""
        return asdict(self) | {"role": self.role.value}

    @classmethod
    def from_json(cls, values: Json) -> Self:
        """Return the contender that `as_json` gave."""
        return cls(**{**values, "role": Role(values["role"])})


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """A training of a contender with a fresh seed."""

    contender: Contender
    seed: int


def rank_search(trials: Sequence[Trial], goal: Goal) -> list[Trial]:
    """Return the finished trials with a finite value, best first; of equal recipes only the best.

    Trials that break a limit of the sweep are left out. Equal values are ordered by trial number.
    """
    finished = [
        trial
        for trial in trials
        if trial.state in _COUNTED_STATES
        and trial.best_value is not None
        and math.isfinite(trial.best_value)
        and trial.breaks is None
    ]
    ranked: dict[str, Trial] = {}
    for trial in sorted(finished, key=lambda trial: (goal.sort_key(trial.best_value or 0.0), trial.number)):
        ranked.setdefault(trial.identity, trial)
    return list(ranked.values())


def choose_contenders(ranked: Sequence[Trial], default: Recipe, *, top_k: int) -> tuple[Contender, ...]:
    """Return the default and the best `top_k` other recipes, in the order of `rank_search`; the default comes first.

    default: with its weights' path as trials have it, see `Recipe.anchored`.
    """
    places = {trial.identity: rank for rank, trial in enumerate(ranked, start=1)}
    rank = places.get(default.identity)
    searched = None if rank is None else ranked[rank - 1]
    finalists = [trial for trial in ranked if trial.identity != default.identity][:top_k]
    recipes = [default, *(Recipe.from_flat(trial.recipe) for trial in finalists)]
    costs = _costs(recipes)
    first = Contender(
        identity=default.identity,
        trial_id=None if searched is None else searched.id,
        trial_number=-1 if searched is None else searched.number,
        rank=rank,
        role=Role.DEFAULT,
        recipe=default.flat(),
        cost=costs[0],
    )
    return (
        first,
        *(
            Contender(
                identity=trial.identity,
                trial_id=trial.id,
                trial_number=trial.number,
                rank=places[trial.identity],
                role=Role.FINALIST,
                recipe=trial.recipe,
                cost=cost,
            )
            for trial, cost in zip(finalists, costs[1:], strict=True)
        ),
    )


def _costs(recipes: Sequence[Recipe]) -> list[float]:
    """Return multiply-adds of a training for each image and epoch, all stages taken as equal.

    A thawed stage is computed three times: forward, and backward for activations and for weights. A user's own backbone
    has no known costs; then nothing is cheaper than anything else.
    """
    if any(recipe.backbone not in BACKBONES for recipe in recipes):
        return [0.0] * len(recipes)
    costs = []
    for recipe in recipes:
        info = BACKBONES[recipe.backbone]
        thawed = 1 - recipe.freeze_depth / info.stages
        costs.append(float(round(info.multiply_adds * recipe.passes * (1 + 2 * thawed))))
    return costs


def sweep_digest(sweep: Sweep) -> str:
    """Return the SHA-256 over what the sweep's search rests on: images, weights, metric, and settings.

    Equal sweeps in two ledgers have equal digests.
    """
    settings = {
        name: value
        for name, value in sweep.settings.items()
        if name == "budget.epochs" or not name.startswith(_LATER_SETTINGS)
    }
    facts: dict[str, Any] = {
        "data": sweep.data.get("digest"),
        "weights": sweep.data.get("weights"),
        "metric": sweep.metric,
        "goal": sweep.goal.value,
        "seed": sweep.seed,
        "settings": settings,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def confirmation_seeds(digest: str, count: int, *, search_seed: int) -> tuple[int, ...]:
    """Return `count` training seeds that no trial of the search had, and a spare one as the last."""
    seeds: list[int] = []
    j = 0
    while len(seeds) <= count:
        seed = int.from_bytes(hashlib.sha256(f"confirm|{digest}|{j}".encode()).digest()[:4], "big")
        if seed != search_seed and seed not in seeds:
            seeds.append(seed)
        j += 1
    return tuple(seeds)


def missing_retrainings(
    contenders: Sequence[Contender], seeds: Sequence[int], done: Sequence[Trial]
) -> list[Retraining]:
    """Return the retrainings that no trial has begun; if all have ended and one has failed, that with the spare seed.

    seeds: the last is the spare, which is used once. done: every retraining of the sweep so far; one that was cancelled
    counts as not begun.
    The order is by seed; recipes that see the same activations follow each other, so that a small cache holds them.
    """
    *common, _spare = seeds
    present = {(trial.identity, trial.seed) for trial in done if trial.state is not TrialState.CANCELLED}
    places: dict[object, int] = {}
    for contender in contenders:
        places.setdefault(_activations(contender), len(places))
    ordered = sorted(contenders, key=lambda contender: places[_activations(contender)])
    missing = [
        Retraining(contender=contender, seed=seed)
        for seed in common
        for contender in ordered
        if (contender.identity, seed) not in present
    ]
    if missing:
        return missing
    return _spare_retrainings(contenders, seeds, counted_retrainings(contenders, seeds, done))


def _spare_retrainings(
    contenders: Sequence[Contender], seeds: Sequence[int], counted: Sequence[Trial]
) -> list[Retraining]:
    """Return the retraining with the spare seed for the first that has failed, once all others have ended."""
    spare = seeds[-1]
    if any(trial.seed == spare or not trial.state.is_finished for trial in counted):
        return []
    identities = {contender.identity: contender for contender in contenders}
    failed = [trial for trial in counted if trial.state is TrialState.FAILED]
    return [Retraining(contender=identities[trial.identity], seed=spare) for trial in failed[:1]]


def counted_retrainings(contenders: Sequence[Contender], seeds: Sequence[int], done: Sequence[Trial]) -> list[Trial]:
    """Return the retrainings on which a decision with these seeds rests, failed ones included, in the order of `done`.

    Cancelled ones do not count. One with the spare seed counts only if another of its recipe has failed: a confirmation
    with more seeds may have trained every recipe with it.
    """
    *common, spare = seeds
    identities = {contender.identity for contender in contenders}
    mine = [trial for trial in done if trial.identity in identities and trial.state is not TrialState.CANCELLED]
    failed = {trial.identity for trial in mine if trial.seed in common and trial.state is TrialState.FAILED}
    return [trial for trial in mine if trial.seed in common or (trial.seed == spare and trial.identity in failed)]


def _activations(contender: Contender) -> object:
    return Recipe.from_flat(contender.recipe).shared_activations
