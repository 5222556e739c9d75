"""Tests that a client rebuilds from answers of a service what the service has read from its ledger."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from pydantic import BaseModel, ValidationError

from search_spaces import Problem as BrokenSpecRule
from search_spaces import SpecError, parse_spec
from service.ledgers import EpochRow, Ledger, SweepState
from service.reports import Leaderboard
from service.schemas import (
    BrokenRule,
    ComparisonModel,
    EpochModel,
    LeaderboardModel,
    Problem,
    SubmitRequest,
    SummaryModel,
    SweepChange,
    SweepModel,
    TrialModel,
)
from service.sweeps import SweepSummary, compare_sweeps, list_sweeps
from tests.service.sweeps.sweeps import add_sweep, add_trials

Model = TypeVar("Model", bound=BaseModel)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open_file(tmp_path / "ledger.db", clock=lambda: 5)
    yield ledger
    ledger.close()


def sent(model: Model) -> Model:
    """Return the model after its way over the network."""
    return type(model).model_validate_json(model.model_dump_json())


def test_a_leaderboard_arrives_with_the_same_table_and_json(ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    add_trials(ledger, sweep, 0.5, 0.7)
    board = Leaderboard.read(ledger, sweep)
    arrived = sent(LeaderboardModel.from_record(board)).to_record("http://host:8000")
    assert arrived.as_json() == board.as_json()
    assert arrived.cells() == board.cells()
    assert arrived.counts() == board.counts()


def test_a_comparison_arrives_whole(ledger: Ledger) -> None:
    for value in (0.5, 0.7):
        add_trials(ledger, add_sweep(ledger, SweepState.RUNNING), value)
    first, second = (sweep.id for sweep in ledger.sweeps.list())
    comparison = compare_sweeps(ledger, first, second)
    assert sent(ComparisonModel.from_record(comparison)).to_record().as_json() == comparison.as_json()


def test_a_line_of_a_list_prints_as_at_the_service(ledger: Ledger) -> None:
    add_trials(ledger, add_sweep(ledger, SweepState.COMPLETED), 0.5)
    (line,) = list_sweeps(ledger)
    model = sent(SummaryModel.from_records(line.sweep, line.trial_counts))
    sweep, counts = model.to_records()
    assert SweepSummary(sweep=sweep, trial_counts=counts).as_json() == line.as_json()
    assert model.model_dump(mode="json").items() >= line.as_json().items()


def test_a_sweep_arrives_without_paths_and_addresses_of_the_machine(ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    ledger.sweeps.note(sweep.id, mlflow={"tracking_uri": "sqlite:////srv/mlflow.db", "experiment_id": "1"})
    text = SweepModel.from_record(ledger.sweeps.get(sweep.id)).model_dump_json()
    assert "/srv" not in text
    arrived = SweepModel.model_validate_json(text).to_record("http://host:8000/")
    assert arrived.mlflow == {"tracking_uri": "http://host:8000/mlflow", "experiment_id": "1"}
    assert arrived.settings == sweep.settings


def test_a_trial_arrives_without_checkpoints_and_traces(ledger: Ledger) -> None:
    (trial_id,) = add_trials(ledger, add_sweep(ledger, SweepState.RUNNING), 0.5)
    model = TrialModel.from_record(ledger.trials.get(trial_id))
    assert not {"checkpoint", "latest", "trace"} & model.model_dump().keys()
    assert sent(model).to_record().best_value == 0.5


def test_numbers_that_are_not_finite_travel_as_null() -> None:
    row = EpochRow(epoch=1, seconds=1.0, recorded_at=1, readings={"val": {"loss": math.inf, "accuracy": 0.5}})
    model = sent(EpochModel.from_record(row))
    assert json.loads(model.model_dump_json())["readings"]["val"] == {"loss": None, "accuracy": 0.5}
    assert math.isnan(model.to_record().readings["val"]["loss"])


def test_the_problems_of_a_sweep_file_arrive_with_the_words_of_the_command_line() -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec("name: a\ndata: {source: digits}\nbudget: {trials: 0, oops: 1}\n", file="sweep.yaml")
    problems = [BrokenRule.from_record(problem) for problem in caught.value.problems]
    problem = Problem(title="invalid", status=422, problems=problems)
    assert str(sent(problem).to_spec_error()) == str(caught.value)


def test_a_value_that_is_no_json_is_given_as_text() -> None:
    rule = BrokenRule.from_record(BrokenSpecRule(path="lr", rule="must be a finite number", value=math.inf))
    assert sent(rule).value == "inf"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"spec": ""},
        {"spec": "a", "priority": 1.5},
        {"spec": "a", "priority": "1"},
        {"spec": "a", "slot_cap": 0},
        {"spec": "a\x00"},
        {"spec": "a", "environment": {}},
        {"spec": "a", "file": "a\nb"},
    ],
    ids=str,
)
def test_a_wrong_submission_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SubmitRequest.model_validate_json(json.dumps(body))


def test_a_change_must_change_something() -> None:
    assert SweepChange.model_validate_json('{"slot_cap": null}').slot_cap is None
    for body in ("{}", '{"priority": null}'):
        with pytest.raises(ValidationError):
            SweepChange.model_validate_json(body)
