"""Who drives a sweep: one process, which holds a lock for as long as it lives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.file_locks import try_lock
from service.homes import Home
from service.ledgers import Ledger
from service.records import Sweep
from service.states import SweepState

_AT_REST = frozenset({SweepState.QUEUED, SweepState.PAUSED, SweepState.INTERRUPTED})


@contextmanager
def driving(home: Home, sweep_id: str) -> Iterator[None]:
    """This process drives the sweep while entered."""
    with try_lock(home.sweep(sweep_id) / "driver.lock") as ours:
        assert ours, f"{sweep_id} has another driver"
        yield


def mark_interrupted(ledger: Ledger, home: Home) -> list[Sweep]:
    """Sweeps that the ledger believes under way although no process drives them: they are interrupted from now on."""
    found = []
    for sweep in ledger.sweeps():
        if sweep.state.is_finished or sweep.state in _AT_REST:
            continue
        with try_lock(home.sweep(sweep.id) / "driver.lock") as free:
            if free:
                reason = "the process that drove it ended"
                found.append(ledger.move_sweep(sweep.id, SweepState.INTERRUPTED, error=reason))
    return found
