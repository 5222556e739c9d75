"""The worked examples of docs/queue.md, computed."""

from __future__ import annotations

import random
from pathlib import Path

from service.queues import Limits, Submission, order_queue
from tests.service.queues.simulation import Pool, SimulatedSweep, Trial
from tests.service.queues.test_order import user, users

PAGE = (Path(__file__).parents[3] / "docs" / "queue.md").read_text(encoding="utf-8")


def rows(header: str) -> list[list[str]]:
    """Return the cells of the page's table with that header."""
    lines = PAGE[PAGE.index(header) :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines[2:]]


def test_the_order_and_the_reasons_of_the_example() -> None:
    queued = [
        Submission(sweep_id="alice-3", owner="alice", queued_at=3),
        Submission(sweep_id="alice-4", owner="alice", queued_at=4),
        Submission(sweep_id="bob-2", owner="bob", queued_at=5),
        Submission(sweep_id="carol-1", owner="carol", queued_at=6),
        Submission(sweep_id="urgent", owner="dave", priority=10, queued_at=7),
    ]
    active = [
        Submission(sweep_id="alice-1", owner="alice"),
        Submission(sweep_id="alice-2", owner="alice"),
        Submission(sweep_id="bob-1", owner="bob"),
    ]
    waiting = order_queue(queued, active, users(user("alice", max_sweeps=2)), Limits(max_active_sweeps=4))
    computed = [
        [f"`{entry.sweep_id}`", entry.owner, str(entry.priority), str(entry.position), entry.reason or "starts now"]
        for entry in waiting
    ]
    assert rows("| queued | owner |") == computed


def test_the_slot_seconds_of_the_example() -> None:
    def make_trial(_source: random.Random) -> Trial:
        return Trial(seconds=2.0, reports=20)

    sweeps = [SimulatedSweep(f"a{number}", "alice", 1000, make_trial) for number in range(10)]
    sweeps.append(SimulatedSweep("b", "bob", 1000, make_trial, begins=60))
    sweeps.append(SimulatedSweep("c", "carol", 1000, make_trial, begins=120, weight=2.0))
    pool = Pool(4, sweeps)
    computed, before = [], dict.fromkeys(("alice", "bob", "carol"), 0.0)
    for minute in range(1, 6):
        pool.run(60.0 * minute)
        used = before | pool.by_owner()
        computed.append([str(minute), *(f"{used[owner] - before[owner]:.0f}" for owner in before)])
        before = used
    assert rows("| minute | alice |") == computed
