"""Deleting sweeps: only their own files go, and a deletion that did not come to its end can be repeated."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from unittest import mock

import pytest

from service.errors import HomeError, SweepNotFoundError
from service.ledgers import Ledger, Sweep, SweepState
from service.settings import Home
from service.sweeps import delete_sweep
from tests.errors.cases import meltpoint
from tests.service.sweeps.sweeps import SPEC, add_sweep, add_trials


def add_files(home: Home, sweep: Sweep) -> None:
    folder = home.sweep(sweep.id) / f"{sweep.id}-0000"
    folder.mkdir(parents=True)
    (folder / "epoch-000001-aa.safetensors").write_bytes(b"0" * 700)
    (folder / "predictions.npz").write_bytes(b"0" * 50)
    (home.sweep(sweep.id) / "trials.log").write_bytes(b"0" * 5)


@pytest.fixture
def sweeps(ledger: Ledger, home: Home) -> tuple[Sweep, Sweep]:
    """Two sweeps that are done, with files, beside images that both use."""
    made = []
    for name in ("first", "second"):
        sweep = add_sweep(ledger, SweepState.COMPLETED, text=SPEC.replace("cells", name))
        add_trials(ledger, sweep, 0.5)
        add_files(home, sweep)
        made.append(sweep)
    (home.data / "images").mkdir(parents=True)
    return made[0], made[1]


def test_only_the_files_of_the_sweep_go(ledger: Ledger, home: Home, sweeps: tuple[Sweep, Sweep]) -> None:
    first, second = sweeps
    deleted = delete_sweep(ledger, home, "first")
    assert deleted.sweep.id == first.id
    assert (deleted.files.checkpoints, deleted.files.checkpoint_bytes, deleted.files.prediction_bytes) == (1, 700, 50)
    assert deleted.files.total_bytes >= 755
    assert not home.sweep(first.id).exists()
    assert home.sweep(second.id).exists()
    assert (home.data / "images").exists()
    assert [sweep.id for sweep in ledger.sweeps.list()] == [second.id]
    with pytest.raises(SweepNotFoundError):
        delete_sweep(ledger, home, "first")


def test_a_deletion_that_fails_is_told_and_can_be_repeated(
    ledger: Ledger, home: Home, sweeps: tuple[Sweep, Sweep]
) -> None:
    first, _ = sweeps
    refusal = PermissionError(1, "Operation not permitted", "trials.log")
    with mock.patch.object(shutil, "rmtree", side_effect=refusal), pytest.raises(HomeError) as error:
        delete_sweep(ledger, home, first.id)
    assert "(trials.log: Operation not permitted)" in str(error.value)
    assert f"type again: meltpoint rm {first.id}" in str(error.value)
    assert ledger.sweeps.find("first").state is SweepState.COMPLETED
    shutil.rmtree(home.sweep(first.id))  # as if the process had ended before it wrote the ledger
    assert delete_sweep(ledger, home, "first").files.total_bytes < 100
    assert not home.sweep(first.id).exists()


def test_the_command_tells_what_goes_and_what_stays(
    ledger: Ledger, home: Home, sweeps: tuple[Sweep, Sweep], tmp_path: Path
) -> None:
    first, second = sweeps
    registered = {"model": "cells", "version": "3", "alias": "candidate", "uri": "models:/cells@candidate"}
    ledger.sweeps.note(first.id, registered=registered)
    with mock.patch.dict(os.environ, {"MELTPOINT_HOME": str(home.root), "XDG_CONFIG_HOME": str(tmp_path)}):
        asked = meltpoint(["rm", "first"])
        assert asked.exit_code == 2
        assert f"{first.id} (first, completed): 1 trial, 1 checkpoint with 700 B, predictions with 50 B" in asked.stderr
        assert (
            "stays: its runs in MLflow (--mlflow deletes them too), registered models:/cells@candidate" in asked.stderr
        )
        assert "cached images and activations" in asked.stderr
        assert home.sweep(first.id).exists()
        done = meltpoint(["rm", "first", second.id, "--yes", "-o", "json"])
        assert done.exit_code == 0, done.stderr
        rows = json.loads(done.stdout)
        assert [row["sweep_id"] for row in rows] == [first.id, second.id]
        assert rows[0]["files"]["checkpoints"] == 1
        assert rows[0]["registered"] == registered
        assert meltpoint(["ls"]).exit_code == 0
        assert "no sweep" in meltpoint(["rm", "first", "--yes"]).stderr
