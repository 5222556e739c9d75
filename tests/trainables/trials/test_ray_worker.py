"""A worker that takes up one trial after another, without Ray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from trainables.trials.ray_worker import REPORT, TrialWorker


class Picky:
    """Trains nothing, and takes no plan that is empty."""

    def take(self, plan: dict[str, Any]) -> None:
        if not plan:
            raise RuntimeError("nothing to take")

    def step(self, progress: Callable[[], None] = lambda: None) -> dict[str, Any]:
        progress()
        return {"history": []}

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def worker() -> TrialWorker:
    made = TrialWorker.__new__(TrialWorker)
    made._run = Picky()
    made.reset_config({"trial_id": "first", "trial": {"recipe": {}}})
    return made


def test_a_report_names_its_trial(worker: TrialWorker) -> None:
    assert worker.step() == {REPORT: ["first", {"history": []}]}
    worker.follow({"trial_id": "second", "trial": {"recipe": {}}})
    assert worker.step() == {REPORT: ["second", {"history": []}]}


def test_what_goes_wrong_as_a_trial_is_taken_up_is_raised_by_its_step(worker: TrialWorker) -> None:
    worker.follow({"trial_id": "second", "trial": {}})
    with pytest.raises(RuntimeError, match="nothing to take"):
        worker.step()
    worker.follow({"trial_id": "third", "trial": {"recipe": {}}})
    assert worker.step()[REPORT][0] == "third"
