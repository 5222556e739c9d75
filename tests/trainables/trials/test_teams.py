"""Tests of trials that several processes train together, on the CPU."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from search_spaces import DataSpec, Goal
from search_spaces.recipes import Recipe
from trainables.nodes import FORK_SERVER_VARIABLE
from trainables.processes import ForkedError, ForkServer
from trainables.stores.prepared import PreparedData
from trainables.stores.references import ImagesReference
from trainables.training.teams import ALONE, Team
from trainables.training.trainer import Trainer
from trainables.trials import PRELOAD, TrialPlan
from trainables.trials.team_trainer import TeamTrainer
from trainables.trials.trial import make_trainer

BASE = {
    "backbone": "timm/test_efficientnet",
    "weights": "random",
    "freeze_depth": 0,
    "batch_size": 16,
    "optimizer.name": "nesterov",
    "optimizer.lr": 0.002,
}
CASES: dict[str, dict[str, object]] = {
    "everything trains, BatchNorm too": {},
    "mixed images, weighted classes": {"freeze_depth": -1, "mix.mixup": 0.4, "balance.class_weights": "inverse"},
    "a head, adamw, penalty, clipping, averaging": {
        "freeze_depth": "all",
        "optimizer.name": "adamw",
        "optimizer.lr": 0.003,
        "penalty.name": "l2",
        "penalty.l2": 0.01,
        "clip.norm": 0.5,
        "averaging.name": "polyak",
    },
    "all images in one step": {"freeze_depth": -1, "batch_size": 0},
}


@pytest.fixture(scope="module")
def fork_server() -> Iterator[str]:
    """A fork server, as a node has one."""
    with closing(ForkServer(preload=PRELOAD)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv(FORK_SERVER_VARIABLE, server.address)
        yield server.address


def plan(data: PreparedData, folder: Path, changed: dict[str, object], members: int) -> TrialPlan:
    spec = DataSpec(source="photos", image_size=32)
    reference = vars(ImagesReference.describe(data, spec, base_dir=folder))
    return TrialPlan(
        recipe=Recipe.from_flat({**BASE, **changed}).flat(),
        seed=3,
        epochs=2,
        report_at=(2,),
        images=reference,
        images_root=str(data.folder.parent),
        folder=str(folder),
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        members=members,
    )


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_train_as_one_does(tiny: PreparedData, tmp_path: Path, fork_server: str) -> None:
    """Train on one GPU and on two."""
    expected = train_two_epochs(alone(dataclasses.replace(plan(tiny, tmp_path, {}, 1), device="cuda")))
    with closing(TeamTrainer(dataclasses.replace(plan(tiny, tmp_path, {}, 2), device="cuda"), make_trainer)) as team:
        together = train_two_epochs(team)
    np.testing.assert_allclose(together[1][2], expected[1][2], atol=1e-2)


def alone(chosen: TrialPlan) -> Trainer:
    return make_trainer(chosen, ALONE, lambda: None)


def train_two_epochs(trainer: Trainer | TeamTrainer) -> list[Any]:
    """Train two epochs; return losses, predictions and the state."""
    rows = [trainer.run_epoch() for _ in range(2)]
    return [*((row.train["loss"], row.train["accuracy"], row.val.probabilities) for row in rows), trainer.state_dict()]


@pytest.mark.parametrize("case", CASES)
def test_a_team_trains_as_one_process_does(case: str, tiny: PreparedData, tmp_path: Path, fork_server: str) -> None:
    """Train a recipe alone and as a team of two: everything is equal up to rounding."""
    expected = train_two_epochs(alone(plan(tiny, tmp_path, CASES[case], 1)))
    with closing(TeamTrainer(plan(tiny, tmp_path, CASES[case], 2), make_trainer)) as team:
        together = train_two_epochs(team)
    for (loss, accuracy, chances), (other_loss, other_accuracy, others) in zip(expected[:2], together[:2], strict=True):
        assert other_loss == pytest.approx(loss, rel=1e-3)
        assert other_accuracy == pytest.approx(accuracy, abs=0.03)
        np.testing.assert_allclose(others, chances, atol=2e-3)
    for name, tensor in expected[2]["model"].items():
        np.testing.assert_allclose(together[2]["model"][name], tensor, atol=2e-3, err_msg=name)


def test_a_member_that_is_killed_is_named_and_nothing_is_left(
    tiny: PreparedData, tmp_path: Path, fork_server: str
) -> None:
    """Kill the second member between two epochs."""
    with closing(TeamTrainer(plan(tiny, tmp_path, {}, 2), make_trainer)) as team:
        team.run_epoch()
        members = [process for process in psutil.process_iter(["name"]) if process.name() == "sweep:member"]
        member = max(members, key=psutil.Process.create_time)
        os.kill(member.pid, signal.SIGKILL)
        with pytest.raises(ForkedError, match="the member's process died: killed by SIGKILL"):
            team.run_epoch()
    psutil.wait_procs([member], timeout=10)
    assert not member.is_running()


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_members_share_out_every_row_once(size: int) -> None:
    """Cut batches of every size; small ones are computed by all members, with weights that add up to one."""
    for rows in range(1, 40):
        parts = [Team(rank=rank, size=size).part(rows) for rank in range(size)]
        counted = np.zeros(rows)
        for part in parts:
            counted[part.rows] += part.weight
            assert part.rows.stop - part.rows.start >= min(2, rows)
        np.testing.assert_allclose(counted, 1.0)
