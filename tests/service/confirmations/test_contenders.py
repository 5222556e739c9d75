"""Contenders: who is trained anew, with which seeds, and what is still to be trained."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Goal, Recipe
from service.confirmations import (
    Role,
    choose_contenders,
    confirmation_seeds,
    missing_retrainings,
    rank_search,
    sweep_digest,
)
from service.ledgers import FIRST_RETRAINING, Sweep, SweepState, Trial, TrialPhase, TrialState

DEFAULT = Recipe()
SWEEP = Sweep(
    id="s-abc123",
    name="cells",
    state=SweepState.COMPLETED,
    spec_text="",
    spec_file="sweep.yaml",
    metric="val/accuracy",
    goal=Goal.MAXIMIZE,
    seed=3,
    data={"digest": "d", "classes": {"a": {"confirm": 50}}},
    settings={"budget.trials": 8, "budget.epochs": 5, "search.algorithm": "random"},
    created_at=0,
)


def recipe(rate: float) -> Recipe:
    return Recipe.from_flat({"dropout.rate": rate})


def trial(number: int, made: Recipe, value: float | None, state: TrialState = TrialState.COMPLETED) -> Trial:
    return Trial(
        id=Trial.make_id(SWEEP.id, number),
        sweep_id=SWEEP.id,
        number=number,
        point={},
        recipe=made.flat(),
        identity=made.identity,
        seed=3,
        state=state,
        attempt=1,
        epochs=5,
        created_at=0,
        best_epoch=5,
        best_value=value,
    )


SEARCHED = [
    trial(0, DEFAULT, 0.80),
    trial(1, recipe(0.1), 0.90),
    trial(2, recipe(0.2), 0.90),
    trial(3, recipe(0.3), 0.95, TrialState.FAILED),
    trial(4, recipe(0.4), None),
    trial(5, recipe(0.1), 0.93),
    trial(6, recipe(0.6), 0.85, TrialState.PRUNED),
    trial(7, recipe(0.7), 0.99, TrialState.CANCELLED),
    trial(8, recipe(0.8), float("nan")),
]


def test_ranks_hold_finished_trials_with_a_value_and_equal_recipes_once() -> None:
    assert [ranked.number for ranked in rank_search(SEARCHED, Goal.MAXIMIZE)] == [5, 2, 6, 0]
    assert [ranked.number for ranked in rank_search(SEARCHED, Goal.MINIMIZE)] == [0, 6, 1, 2]


def test_a_trial_that_breaks_a_limit_is_not_ranked() -> None:
    searched = [replace(trial, breaks="latency_ms 30 > 20") if trial.number == 5 else trial for trial in SEARCHED]
    ranked = rank_search(searched, Goal.MAXIMIZE)
    assert [kept.number for kept in ranked] == [1, 2, 6, 0]


@pytest.mark.parametrize(("top_k", "finalists"), [(1, [5]), (2, [5, 2]), (9, [5, 2, 6])])
def test_the_default_and_the_best_others_are_trained_anew(top_k: int, finalists: list[int]) -> None:
    default, *others = choose_contenders(rank_search(SEARCHED, Goal.MAXIMIZE), DEFAULT, top_k=top_k)
    assert (default.role, default.trial_number, default.rank) == (Role.DEFAULT, 0, 4)
    assert [contender.trial_number for contender in others] == finalists
    assert [contender.rank for contender in others] == [1, 2, 3][: len(finalists)]
    assert {contender.role for contender in others} == {Role.FINALIST}


def test_a_default_that_is_the_best_takes_no_place_of_a_finalist() -> None:
    searched = [trial(0, DEFAULT, 0.99), *SEARCHED[1:]]
    default, *others = choose_contenders(rank_search(searched, Goal.MAXIMIZE), DEFAULT, top_k=2)
    assert default.rank == 1
    assert [contender.trial_number for contender in others] == [5, 2]


def test_a_default_without_a_finished_trial_takes_part() -> None:
    default, *others = choose_contenders(rank_search(SEARCHED[1:], Goal.MAXIMIZE), DEFAULT, top_k=1)
    assert (default.trial_id, default.trial_number, default.rank) == (None, -1, None)
    assert len(others) == 1


def test_a_recipe_that_trains_more_stages_costs_more() -> None:
    deep = Recipe.from_flat({"freeze_depth": 0})
    searched = [trial(0, DEFAULT, 0.8), trial(1, deep, 0.9), trial(2, recipe(0.1), 0.85)]
    default, thawed, probe = choose_contenders(rank_search(searched, Goal.MAXIMIZE), DEFAULT, top_k=2)
    assert thawed.cost == 3 * default.cost
    assert probe.cost == default.cost


def test_a_contender_comes_back_from_json() -> None:
    for contender in choose_contenders(rank_search(SEARCHED, Goal.MAXIMIZE), DEFAULT, top_k=3):
        assert type(contender).from_json(contender.as_json()) == contender


@given(st.integers(2, 64), st.integers(0, 2**32 - 1))
def test_seeds_are_fresh_distinct_and_begin_alike(count: int, search_seed: int) -> None:
    seeds = confirmation_seeds("digest", count, search_seed=search_seed)
    assert len(set(seeds)) == len(seeds) == count + 1
    assert search_seed not in seeds
    assert confirmation_seeds("digest", count + 1, search_seed=search_seed)[: count + 1] == seeds


def test_a_seed_of_the_search_is_passed_over() -> None:
    first, second, _ = confirmation_seeds("digest", 2, search_seed=0)
    assert confirmation_seeds("digest", 2, search_seed=first)[0] == second


def test_the_digest_ignores_names_and_limits_but_not_what_the_search_rests_on() -> None:
    digest = sweep_digest(SWEEP)
    other_limits = SWEEP.settings | {"budget.trials": 99, "resources.cpu": 2, "confirm.seeds": 8}
    same = replace(SWEEP, id="s-other", name="other", settings=other_limits)
    assert sweep_digest(same) == digest
    others = [
        replace(SWEEP, seed=4),
        replace(SWEEP, data={"digest": "e"}),
        replace(SWEEP, metric="val/loss"),
        replace(SWEEP, settings=SWEEP.settings | {"budget.epochs": 6}),
        replace(SWEEP, settings=SWEEP.settings | {"search.algorithm": "tpe"}),
    ]
    assert len({digest, *map(sweep_digest, others)}) == len(others) + 1


CONTENDERS = choose_contenders(rank_search(SEARCHED, Goal.MAXIMIZE), DEFAULT, top_k=2)
SEEDS = (11, 12, 99)


def retrained(place: int, identity: str, seed: int, state: TrialState = TrialState.COMPLETED) -> Trial:
    made = trial(FIRST_RETRAINING + place, DEFAULT, 0.8, state)
    return replace(made, identity=identity, seed=seed, phase=TrialPhase.CONFIRM)


def pairs(done: list[Trial]) -> list[tuple[str, int]]:
    return [(each.contender.identity, each.seed) for each in missing_retrainings(CONTENDERS, SEEDS, done)]


def test_every_recipe_is_trained_with_every_seed_seed_by_seed() -> None:
    identities = {contender.identity for contender in CONTENDERS}
    missing = pairs([])
    assert [seed for _, seed in missing] == [11, 11, 11, 12, 12, 12]
    assert {identity for identity, _ in missing[:3]} == {identity for identity, _ in missing[3:]} == identities


def test_what_has_begun_is_not_trained_again() -> None:
    done = [retrained(place, *pair) for place, pair in enumerate(pairs([])[:4])]
    assert pairs(done) == pairs([])[4:]


def test_the_first_failed_retraining_gets_the_spare_seed_once_all_have_ended() -> None:
    whole = pairs([])
    done = [retrained(place, *pair) for place, pair in enumerate(whole)]
    done[1] = replace(done[1], state=TrialState.FAILED)
    done[4] = replace(done[4], state=TrialState.FAILED)
    running = [*done[:5], replace(done[5], state=TrialState.RUNNING)]
    assert pairs(running) == []
    assert pairs(done) == [(done[1].identity, 99)]
    assert pairs([*done, retrained(6, done[1].identity, 99, TrialState.FAILED)]) == []


def test_recipes_that_share_activations_follow_each_other() -> None:
    deep = Recipe.from_flat({"freeze_depth": 0})
    searched = [trial(0, DEFAULT, 0.8), trial(1, deep, 0.9), trial(2, recipe(0.1), 0.85)]
    contenders = choose_contenders(rank_search(searched, Goal.MAXIMIZE), DEFAULT, top_k=2)
    order = [each.contender.trial_number for each in missing_retrainings(contenders, (11, 99), [])]
    assert order == [0, 2, 1]
