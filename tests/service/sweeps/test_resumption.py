"""Resuming a sweep: settings that may change, and sweeps with nothing to resume."""

from __future__ import annotations

import shlex

import pytest

from search_spaces import SpecError, SweepSpec, parse_spec
from service.errors import SweepNotFoundError, UsageError
from service.ledgers import Ledger, Sweep, SweepState
from service.sweeps import change_spec, prepare_resume
from tests.service.sweeps.sweeps import SPEC, add_sweep, add_trials


def spec_of(sweep: Sweep) -> SweepSpec:
    return parse_spec(sweep.spec_text, file=sweep.spec_file)


@pytest.mark.parametrize(
    ("began", "text", "copies"),
    [
        ({"val": 0.2}, SPEC, "ignore"),  # by a version without the key
        ({"val": 0.2, "copies": "ignore"}, SPEC, "ignore"),  # by a version whose default was another
        ({"val": 0.2, "copies": "together"}, SPEC, "together"),
        ({"val": 0.2}, SPEC.replace("image_size: 16", "image_size: 16, split: {copies: together}"), "together"),
        (None, SPEC, "together"),  # no driver has read its images
    ],
)
def test_images_stay_split_as_they_were_when_the_sweep_began(
    ledger: Ledger, began: dict[str, object] | None, text: str, copies: str
) -> None:
    sweep = add_sweep(ledger, SweepState.PAUSED, text=text)
    ledger.sweeps.note(sweep.id, data=dict(sweep.data) | ({} if began is None else {"split": began}))

    for assign in ((), ("budget.trials=8",)):
        spec = prepare_resume(ledger, sweep.id, assign)[1]
        assert spec.data.split.copies == copies
        assert spec.file == sweep.spec_file


@pytest.mark.parametrize("state", [SweepState.PAUSED, SweepState.INTERRUPTED])
def test_a_sweep_at_rest_is_resumed_with_its_own_spec(ledger: Ledger, state: SweepState) -> None:
    sweep = add_sweep(ledger, state)
    resumed, spec = prepare_resume(ledger, "cells")
    assert (resumed, spec.text) == (sweep, sweep.spec_text)


def test_a_sweep_whose_confirmation_was_stopped_is_sent_to_confirm_and_may_get_more_budget(ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.COMPLETED)
    ledger.sweeps.note(sweep.id, phase="confirm", confirmation={"decision": None})
    with pytest.raises(UsageError, match=f"To go on with it: meltpoint confirm {sweep.id}$"):
        prepare_resume(ledger, "cells")
    assert prepare_resume(ledger, "cells", ["budget.trials=8"])[1].budget.trials == 8


def test_budget_resources_and_the_models_name_may_change(ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.PAUSED)
    changes = ["budget.trials=8", "budget.wall=1h", "resources.cpu=2", "register.model=other"]
    changed = change_spec(spec_of(sweep), changes, sweep_id=sweep.id)
    assert (changed.budget.trials, changed.budget.wall, changed.resources.cpu) == (8, 3600, 2)
    assert changed.registration is not None
    assert changed.registration.model == "other"


@pytest.mark.parametrize(
    ("assignment", "key"),
    [
        ("budget.epochs=9", "budget.epochs"),
        ("space.batch_size=32", "space"),
        ("search.seed=1", "search"),
        ("data.image_size=32", "data"),
        ("metric={name: val/loss, goal: minimize}", "metric"),
    ],
)
def test_settings_with_which_trials_began_may_not_change(ledger: Ledger, assignment: str, key: str) -> None:
    sweep = add_sweep(ledger, SweepState.PAUSED)
    with pytest.raises(UsageError, match=rf"^{key} cannot change when {sweep.id} is resumed"):
        change_spec(spec_of(sweep), [assignment], sweep_id=sweep.id)


def test_a_spec_without_changes_is_the_original(ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.PAUSED)
    original = spec_of(sweep)
    assert change_spec(original, [], sweep_id=sweep.id) is original


def test_a_wrong_assignment_is_named(ledger: Ledger) -> None:
    add_sweep(ledger, SweepState.PAUSED)
    with pytest.raises(SpecError, match=r"--set budget.trils=64: unknown key"):
        prepare_resume(ledger, "cells", ["budget.trils=64"])


def test_a_finished_sweep_needs_a_larger_budget_and_the_hint_gives_one(ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING, text=SPEC.replace("[8, 16]", "[8, 16, 32, 64, 128]"))
    add_trials(ledger, sweep, 0.5, 0.75)
    ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    with pytest.raises(UsageError, match="is completed and has run all of its trials") as refusal:
        prepare_resume(ledger, sweep.id)
    command = str(refusal.value).partition("meltpoint ")[2].split()
    assert command[:3] == ["resume", sweep.id, "--set"]
    assert prepare_resume(ledger, sweep.id, command[3:])[1].budget.trials == 4


LIST = "name: cells\ndata: {source: digits}\nsearch: {algorithm: points, points: [{batch_size: 8}]}\n"
SPACE = "space: {batch_size: {values: [8, 16, 32]}}\n"


@pytest.mark.parametrize("text", [LIST, f"{LIST}budget: {{trials: 1}}\n", LIST + SPACE])
def test_a_finished_list_of_points_is_told_how_to_add_to_it(ledger: Ledger, text: str) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING, text=text)
    add_trials(ledger, sweep, 0.5)
    ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    for assign in ([], ["budget.trials=4"]):
        with pytest.raises(UsageError, match=r"has run all of its trials \(1\); to go on, add recipes") as refusal:
            prepare_resume(ledger, sweep.id, assign)
        words = shlex.split(str(refusal.value).partition("meltpoint ")[2])
        assert words[:3] == ["resume", sweep.id, "--set"]
        resumed = prepare_resume(ledger, sweep.id, [*assign, *words[3::2]])[1]
        assert (len(resumed.points), resumed.budget.trials) == (2, 2)
        assert resumed.points[1] != resumed.points[0]


def test_points_are_added_behind_those_of_a_list_and_changed_in_no_other_way(ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.PAUSED, text=LIST)
    added = change_spec(spec_of(sweep), ["search.points[+]={}", "search.points[+]={batch_size: 4}"], sweep_id=sweep.id)
    assert [recipe.batch_size for recipe in added.points] == [8, 32, 4]
    for change in ("search.points[0]={}", "search.points=[{}]", "search.seed=3", "search.algorithm=tpe"):
        with pytest.raises((UsageError, SpecError)):
            change_spec(spec_of(sweep), [change], sweep_id=sweep.id)
    with pytest.raises(UsageError, match=r"recipes can be added behind those of its list: --set 'search.points\[\+\]="):
        change_spec(spec_of(sweep), ["search.points=[{}]"], sweep_id=sweep.id)
    searched = add_sweep(ledger, SweepState.PAUSED)
    with pytest.raises(UsageError, match=r"only to a list \(algorithm points\): start another sweep"):
        change_spec(spec_of(searched), ["search.points=[{}]"], sweep_id=searched.id)


@pytest.mark.parametrize("budget", [2, 16])
def test_a_finite_space_that_is_used_up_says_that_every_recipe_was_tried(ledger: Ledger, budget: int) -> None:
    text = "name: cells\ndata: {source: digits}\nsearch: {algorithm: random}\nspace: {batch_size: {values: [8, 16]}}\n"
    sweep = add_sweep(ledger, SweepState.RUNNING, text=f"{text}budget: {{trials: {budget}}}\n")
    add_trials(ledger, sweep, 0.5, 0.6)
    ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    for assign in ([], ["budget.trials=32"]):
        with pytest.raises(UsageError, match=r"\(2\); it has tried every recipe of its space: widen the space in"):
            prepare_resume(ledger, sweep.id, assign)


def test_a_sweep_that_failed_too_often_is_resumed_if_more_may_fail(ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    add_trials(ledger, sweep, 0.5, 0.75)
    ledger.sweeps.move(sweep.id, SweepState.FAILED)
    assert prepare_resume(ledger, sweep.id, ["budget.max_failed=9"])[1].budget.max_failed == 9


def test_running_cancelled_and_unknown_sweeps_are_refused(ledger: Ledger) -> None:
    running, cancelled = add_sweep(ledger, SweepState.RUNNING), add_sweep(ledger, SweepState.CANCELLED)
    with pytest.raises(UsageError, match="is running: there is nothing to resume"):
        prepare_resume(ledger, running.id)
    with pytest.raises(UsageError, match="is cancelled and cannot be resumed; start a new sweep with: meltpoint run"):
        prepare_resume(ledger, cancelled.id)
    with pytest.raises(SweepNotFoundError):
        prepare_resume(ledger, "another")
