"""A worker that trains one trial after another, without Ray."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainables.nodes import Node
from trainables.processes import Rendezvous
from trainables.trials.ray_worker import IDLE_SECONDS, REPORT, TrialWorker


class Picky:
    """A run that trains nothing and refuses a plan without a recipe."""

    def take(self, plan: dict[str, Any]) -> None:
        if "recipe" not in plan:
            raise RuntimeError("nothing to take")

    def step(self, progress: Callable[[], None] = lambda: None) -> dict[str, Any]:
        progress()
        return {"history": []}

    def close(self) -> None:
        """Release nothing."""


class PickyWorker(TrialWorker):
    made = 0

    def make_run(self, _config: dict[str, Any], _rendezvous: Rendezvous) -> Picky:
        self.made += 1
        return Picky()


def config(trial_id: str, folder: Path, recipe: bool = True) -> dict[str, Any]:
    rendezvous = {"folder": str(folder), "workers": 1}
    return {"trial_id": trial_id, "trial": {"recipe": {}} if recipe else {}, "rendezvous": rendezvous}


@pytest.fixture
def worker(tmp_path: Path) -> PickyWorker:
    made = PickyWorker.__new__(PickyWorker)
    made.reset_config(config("first", tmp_path))
    return made


def test_a_report_names_its_trial(worker: PickyWorker, tmp_path: Path) -> None:
    assert worker.step()[REPORT][:2] == ["first", {"history": []}]
    worker.follow(config("second", tmp_path))
    assert worker.step()[REPORT][:2] == ["second", {"history": []}]
    assert worker.made == 1, "trials of one sweep follow each other in one process"


def test_what_goes_wrong_as_a_trial_is_taken_up_is_raised_by_its_step(worker: PickyWorker, tmp_path: Path) -> None:
    worker.follow(config("second", tmp_path, recipe=False))
    with pytest.raises(RuntimeError, match="nothing to take"):
        worker.step()
    worker.follow(config("third", tmp_path))
    assert worker.step()[REPORT][0] == "third"


def test_a_trial_of_another_sweep_gets_a_new_process(worker: PickyWorker, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    worker.follow(config("other-first", other))
    assert worker.step()[REPORT][:2] == ["other-first", {"history": []}]
    assert worker.made == 2


def test_a_worker_without_a_trial_waits_for_its_bell(worker: PickyWorker, tmp_path: Path) -> None:
    bell = tmp_path / "bell"
    bell.touch()
    worker.follow({"trial_id": None, "bell": str(bell)})
    before = time.monotonic()
    assert worker.step()[REPORT][:2] == [None, None]
    assert time.monotonic() - before < IDLE_SECONDS
    assert not bell.exists(), "a bell rings once"
    worker.follow(config("second", tmp_path))
    assert worker.step()[REPORT][0] == "second"


def test_a_trial_whose_sweep_has_no_driver_is_given_up(worker: PickyWorker, tmp_path: Path) -> None:
    Rendezvous(str(tmp_path), 1).abandon()
    assert worker.step()[REPORT][:2] == ["first", None]


def test_a_report_tells_of_the_workers_node_and_comes_at_once_if_the_node_is_about_to_leave(
    worker: PickyWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaving = tmp_path / "leaving"
    for name, value in Node(name="gpu-7", leaving=leaving).variables().items():
        monkeypatch.setenv(name, value)
    rendezvous = Rendezvous(str(tmp_path), 1)
    assert worker.step()[REPORT][2] == {"id": "", "name": "gpu-7", "leaving": False}
    assert not rendezvous.reports_requested()
    leaving.touch()
    assert worker.step()[REPORT][2] == {"id": "", "name": "gpu-7", "leaving": True}
    assert rendezvous.reports_requested()
    worker.follow({"trial_id": None, "bell": None})
    before = time.monotonic()
    assert worker.step()[REPORT][2]["leaving"]
    assert time.monotonic() - before < IDLE_SECONDS / 2, "no bell, no wait"
