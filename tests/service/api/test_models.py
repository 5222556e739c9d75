"""Promotions over HTTP: who may ask, what is answered, and what a process of its own does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.ledgers import EventKind, Promotion, PromotionAction, Sweep, SweepState
from service.promotions import PromotionOutcome, PromotionRequest, PromotionStatus
from service.registry import RegistryProcesses, roll_back_apart
from service.settings import Home
from tests.service.api.services import RunningApi
from tests.service.sweeps.sweeps import add_trials


def promotable(api: RunningApi, owner: str = "ann") -> tuple[Sweep, str]:
    """Return a completed sweep with a best trial, and the trial's id."""
    sweep = api.add_sweep(SweepState.RUNNING, owner=owner)
    (trial,) = add_trials(api.ledger, sweep, 0.9)
    api.ledger.sweeps.note(sweep.id, best_trial_id=trial, settings={"register.model": "cells"})
    return api.ledger.sweeps.move(sweep.id, SweepState.COMPLETED), trial


def test_a_promotion_is_carried_out_by_another_process_and_answered(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, trial = promotable(api)
    asked: list[PromotionRequest] = []

    def carry_out(_self: RegistryProcesses, _ledger: Any, _home: Home, _id: str, request: Any, **_: Any) -> Any:
        asked.append(request)
        return PromotionOutcome(
            key=request.key,
            status=PromotionStatus.PROMOTED,
            model=request.model,
            alias=request.alias,
            trial_id=request.trial_id,
            version="1",
            sentences=("done",),
        )

    monkeypatch.setattr(RegistryProcesses, "carry_out", carry_out)
    assert api.post(f"/sweeps/{sweep.id}/promotion", {}).status_code == 409
    answer = api.post(f"/sweeps/{sweep.id}/promotion", {"unconfirmed": True}).json()
    assert (answer["status"], answer["version"], answer["trial_id"]) == ("promoted", "1", trial)
    assert answer["uri"] == "models:/cells@champion"
    assert [(request.user_name, request.force, request.confirmed) for request in asked] == [("ann", False, False)]
    refused = api.post(f"/sweeps/{sweep.id}/promotion", {"unconfirmed": True, "alias": "latest"})
    assert (refused.status_code, "MLflow keeps" in refused.json()["detail"]) == (409, True)


def test_the_history_of_an_alias_is_read_by_all(api: RunningApi) -> None:
    sweep, trial = promotable(api)
    move = Promotion(
        model="cells",
        alias="champion",
        version="1",
        action=PromotionAction.PROMOTE,
        sweep_id=sweep.id,
        trial_id=trial,
        evidence={"confirmed": True},
        user_name="ann",
    )
    api.ledger.promotions.add(move)
    (alias,) = [entry for entry in api.get("/models", user="vic").json()["items"] if entry["last"]["model"] == "cells"]
    assert (alias["last"]["version"], alias["origin"]["evidence"]) == ("1", {"confirmed": True})
    (line,) = api.get("/models/cells", user="bob").json()["items"]
    assert (line["action"], line["trial_id"], line["user_name"]) == ("promote", trial, "ann")


def test_a_submitter_rolls_back_models_of_own_sweeps_alone(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep, trial = promotable(api)
    move = Promotion(
        model="mine", alias="champion", version="2", action=PromotionAction.PROMOTE, sweep_id=sweep.id, trial_id=trial
    )
    move = api.ledger.promotions.add(move)
    back = Promotion(**vars(move) | {"version": "1", "action": PromotionAction.ROLLBACK})
    users: list[str | None] = []

    def roll_back(_home: Home, *, model: str, alias: str, user: str | None) -> Promotion:
        users.append(user)
        return back

    monkeypatch.setattr("service.api.routes.models.roll_back_apart", roll_back)
    assert api.post("/models/mine/rollback", {}, user="vic").status_code == 403
    refused = api.post("/models/mine/rollback", {}, user="bob")
    assert refused.status_code == 403
    assert sweep.id not in refused.text
    assert api.post("/models/mine/rollback", {}).json()["version"] == "1"
    assert api.post("/models/mine/rollback", {}, user="root").status_code == 200
    assert users == ["ann", "root"]


def _request(trial: str) -> PromotionRequest:
    return PromotionRequest(
        key="k", model="cells", alias="champion", trial_id=trial, confirmed=False, headline="", evidence={}
    )


def _sleep(seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"])


def test_a_process_at_work_is_waited_for_and_not_started_twice(api: RunningApi) -> None:
    sweep, trial = promotable(api)
    processes, started = RegistryProcesses(), []

    def start(_home: Home, sweep_id: str) -> subprocess.Popen[bytes]:
        started.append(sweep_id)
        return _sleep(60)

    options: dict[str, Any] = {"after": api.ledger.events.last_id(sweep.id), "seconds": 0.3, "start": start}
    for _ in range(2):
        outcome = processes.carry_out(api.ledger, api.home, sweep.id, _request(trial), **options)
        assert outcome.status is PromotionStatus.RUNNING
    done = PromotionOutcome(
        key="k", status=PromotionStatus.PROMOTED, model="cells", alias="champion", trial_id=trial, version="1"
    )
    api.ledger.events.add(sweep.id, EventKind.PROMOTION, done.as_json())
    assert processes.carry_out(api.ledger, api.home, sweep.id, _request(trial), **options) == done
    assert started == [sweep.id]
    processes._running[sweep.id].kill()
    processes._running[sweep.id].wait()


def test_a_process_that_ends_without_an_outcome_leaves_the_request_waiting(api: RunningApi) -> None:
    sweep, trial = promotable(api)
    outcome = RegistryProcesses().carry_out(
        api.ledger, api.home, sweep.id, _request(trial), after=0, start=lambda _home, _sweep: _sleep(0)
    )
    assert outcome.status is PromotionStatus.WAITING
    assert "meltpoint sync" in outcome.sentences[1]


@pytest.mark.slow
def test_a_way_back_in_a_process_of_its_own_raises_the_same_errors(tmp_path: Path) -> None:
    from contextlib import closing

    from service.clocks import now_ms
    from service.errors import NotFoundError
    from service.ledgers import Ledger

    home = Home(tmp_path).create()
    with closing(Ledger.open(home, clock=now_ms)), pytest.raises(NotFoundError, match="nothing was promoted to cells@"):
        roll_back_apart(home, model="cells", alias="champion", user=None)
