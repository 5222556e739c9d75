"""Checkpoints of a sweep in stores: which ones stay, what is counted, and what a deletion leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from search_spaces import Goal
from service.errors import HomeError
from service.ledgers import Ledger, Sweep, SweepState, Trial
from service.runs.kept_checkpoints import (
    KeptCheckpoints,
    checkpoint_folder,
    checkpoint_folders,
    delete_checkpoints,
    measure_checkpoints,
    with_store,
)
from service.settings import Home
from service.sweeps import delete_sweep, get_status
from tests.contracts.ledgers import Ticks
from tests.object_stores import bucket, s3_variables
from tests.service.sweeps.sweeps import add_sweep, add_trials
from trainables.checkpoint_stores import join_place, open_store
from trainables.errors import StoreError

__all__ = ["bucket", "s3_variables"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("MELTPOINT_LEDGER", raising=False)
    monkeypatch.delenv("MELTPOINT_STORE", raising=False)
    return Home(tmp_path / "home").create()


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    ledger = Ledger.open(home, clock=Ticks())
    yield ledger
    ledger.close()


@pytest.fixture(params=["s3", "local"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The store that is set: a folder of a bucket, or a local folder."""
    place = str(tmp_path / "mnt") if request.param == "local" else f"{request.getfixturevalue('bucket')}/deep"
    monkeypatch.setenv("MELTPOINT_STORE", place)
    return place


def add_checkpoints(ledger: Ledger, home: Home, sweep: Sweep, *epochs: int) -> None:
    """Write a checkpoint of each epoch for every trial of the sweep, and record the first as that of the best epoch."""
    for trial in ledger.trials.list(sweep.id):
        folder = join_place(checkpoint_folder(home, sweep), trial.id)
        for epoch in epochs:
            open_store(folder).write(folder, f"epoch-{epoch:06d}-ab.safetensors", bytes(10 * epoch))
        open_store(folder).write(folder, "notes.txt", b"1")


def with_checkpoint(trial: Trial, folder: str, name: str) -> Trial:
    return replace(trial, checkpoint=join_place(folder, trial.id, name))


def names(place: str) -> list[str]:
    return sorted(file.location.removeprefix(f"{place}/") for file in open_store(place).files(place))


def test_the_best_of_finished_trials_keep_theirs_wherever_they_lie(ledger: Ledger, home: Home, store: str) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    add_trials(ledger, sweep, 0.5, 0.9, 0.7)
    add_checkpoints(ledger, home, sweep, 1, 2)
    folder = checkpoint_folder(home, sweep)
    trials = [with_checkpoint(row, folder, "epoch-000001-ab.safetensors") for row in ledger.trials.list(sweep.id)]
    kept = KeptCheckpoints(checkpoint_folders(home, sweep), goal=Goal.MAXIMIZE, ended=trials[:2], most=1)
    kept.add(trials[2])
    kept.close()
    checkpoints = [name for name in names(folder) if name.endswith("safetensors")]
    assert checkpoints == [f"{sweep.id}-0001/epoch-000001-ab.safetensors"]
    delete_checkpoints(checkpoint_folders(home, sweep), trials[1])
    assert names(folder) == [f"{trial.id}/notes.txt" for trial in trials]


def test_other_commands_find_the_store_of_a_sweep_without_the_setting(
    ledger: Ledger, home: Home, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, other = add_sweep(ledger, SweepState.COMPLETED), add_sweep(ledger, SweepState.COMPLETED)
    data = with_store(home, sweep)
    assert data is not None
    ledger.sweeps.note(sweep.id, data=data)
    sweep = ledger.sweeps.get(sweep.id)
    assert sweep.checkpoint_stores == [store]
    assert with_store(home, sweep) is None
    for row in (sweep, other):
        add_trials(ledger, row, 0.5)
        add_checkpoints(ledger, home, row, 1, 2)
    monkeypatch.delenv("MELTPOINT_STORE")

    assert checkpoint_folder(home, sweep) == f"{store}/{sweep.id}"
    assert with_store(home, sweep) is None
    assert measure_checkpoints(home, sweep) == (2, 30, "")
    facts = get_status(ledger, home, sweep.id).as_json()["checkpoints"]
    assert facts == {"files": 2, "bytes": 30, "stores": [store]}
    deleted = delete_sweep(ledger, home, sweep.id)
    assert (deleted.files.checkpoints, deleted.files.checkpoint_bytes) == (2, 30)
    assert {name.partition("/")[0] for name in names(store)} == {other.id}


def test_a_store_that_is_away_delays_status_a_little_and_keeps_the_sweep(
    ledger: Ledger, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELTPOINT_STORE", "memory://away")
    sweep = add_sweep(ledger, SweepState.COMPLETED)
    refusal = StoreError("the checkpoint store memory://away cannot be listed: no answer")

    def refuse(*_: object) -> None:
        raise refusal

    monkeypatch.setattr("trainables.checkpoint_stores.remote.RemoteStore.files", refuse)
    monkeypatch.setattr("trainables.checkpoint_stores.remote.RemoteStore.remove", refuse)
    assert measure_checkpoints(home, sweep) == (0, 0, str(refusal))
    assert get_status(ledger, home, sweep.id).as_json()["checkpoints"]["unlisted"] == str(refusal)
    with pytest.raises(HomeError, match=f"no answer; {sweep.id} is kept. Mend that, and type again: meltpoint rm"):
        delete_sweep(ledger, home, sweep.id)
    assert ledger.sweeps.get(sweep.id)
