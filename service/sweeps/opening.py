"""Open the ledger of a home that has one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.clocks import now_ms
from service.errors import SweepNotFoundError
from service.settings import Home

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["open_ledger"]


@contextmanager
def open_ledger(home: Home, *, clock: Callable[[], int] = now_ms) -> Iterator[Ledger]:
    """Open the ledger while entered; sweeps whose driver has ended are marked as interrupted.

    Raises:
        SweepNotFoundError: the home has no ledger yet.
    """
    if not home.has_ledger:
        raise SweepNotFoundError(f"no sweeps yet in {home.root}; start one with: meltpoint run SPEC")
    from service.ledgers import Ledger
    from service.runs.leases import mark_interrupted

    ledger = Ledger.open(home, clock=clock)
    try:
        mark_interrupted(ledger, home)
        yield ledger
    finally:
        ledger.close()
