"""The bulletin: a worker that does not see its driver's files hears of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from service.clusters.bulletins import Bulletin
from trainables.processes import Rendezvous
from trainables.trials.ray_worker import IDLE_SECONDS, REPORT, TrialWorker


class Watchful:
    """A run that trains nothing, and says whether it is asked to report."""

    def __init__(self, rendezvous: Rendezvous) -> None:
        self.rendezvous, self.plan = rendezvous, dict[str, Any]()

    def take(self, plan: dict[str, Any]) -> None:
        self.plan = plan

    def step(self, progress: Callable[[], None] = lambda: None) -> dict[str, Any]:
        progress()
        return {"requested": self.rendezvous.reports_requested(), "node": self.plan["node"]}

    def close(self) -> None:
        """Release nothing."""


class WatchfulWorker(TrialWorker):
    def make_run(self, _config: dict[str, Any], rendezvous: Rendezvous) -> Watchful:
        return Watchful(rendezvous)


@pytest.fixture(scope="module")
def bulletin(ray_once: None) -> Iterator[Bulletin]:
    bulletin = Bulletin()
    yield bulletin
    ray.kill(ray.get_actor(bulletin.name))


class Machines:
    """A driver and a worker of another machine: when the worker looks, the driver's folder is not there."""

    def __init__(self, bulletin: Bulletin, folder: Path) -> None:
        self.bulletin = bulletin
        self.folder, self._hidden = folder / "rendezvous", folder / "hidden"
        self.folder.mkdir()
        self.driver = Rendezvous(str(self.folder), 1)
        self.worker = WatchfulWorker.__new__(WatchfulWorker)
        bulletin.follow(str(self.folder))

    def give(self, config: dict[str, Any]) -> None:
        self.folder.rename(self._hidden)
        self.worker.reset_config(config | {"bulletin": self.bulletin.name})
        self._hidden.rename(self.folder)

    def train(self) -> None:
        rendezvous = {"folder": str(self.folder), "workers": 1}
        self.give({"trial_id": "first", "trial": {}, "rendezvous": rendezvous})

    def report_once(self, right: Callable[[Any], bool]) -> Any:
        """Post what has changed; return the worker's first report that is right, within a minute."""
        self.bulletin.mirror()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            report = self.worker.step()[REPORT][1]
            if right(report):
                return report
            time.sleep(0.02)
        raise AssertionError(report)


@pytest.fixture
def machines(bulletin: Bulletin, tmp_path: Path) -> Machines:
    return Machines(bulletin, tmp_path)


def test_a_worker_elsewhere_hears_that_it_must_report_and_that_it_is_abandoned(machines: Machines) -> None:
    machines.train()
    machines.report_once(lambda report: report and not report["requested"])
    machines.driver.request_reports()
    machines.report_once(lambda report: report["requested"])
    machines.driver.withdraw_request()
    machines.report_once(lambda report: not report["requested"])
    machines.driver.abandon()
    machines.report_once(lambda report: report is None)


def test_an_idle_worker_elsewhere_hears_its_bell_at_once(machines: Machines) -> None:
    bell = str(machines.folder / "bell")
    config = {"trial_id": None, "bell": bell}
    machines.give(config)
    machines.bulletin.ring([bell])
    machines.worker.step()
    before = time.monotonic()
    machines.worker.step()
    waited = time.monotonic() - before
    machines.give(config)
    machines.bulletin.ring([bell])
    before = time.monotonic()
    machines.worker.step()
    assert time.monotonic() - before < IDLE_SECONDS / 2 < waited


def test_a_worker_whose_bulletin_is_gone_gives_up(ray_once: None, tmp_path: Path) -> None:
    machines = Machines(Bulletin(), tmp_path)
    machines.train()
    machines.report_once(lambda report: report is not None)
    ray.kill(ray.get_actor(machines.bulletin.name))
    machines.report_once(lambda report: report is None)
