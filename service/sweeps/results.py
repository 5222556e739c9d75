"""Results of sweeps: leaderboards, and comparisons of two sweeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.reports import Comparison, Leaderboard

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["compare_sweeps", "read_leaderboard"]


def read_leaderboard(ledger: Ledger, reference: str) -> Leaderboard:
    """Return a sweep's trials, best first.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
    """
    return Leaderboard.read(ledger, ledger.sweeps.find(reference), with_standing=True)


def compare_sweeps(ledger: Ledger, first: str, second: str) -> Comparison:
    """Return what differs between two sweeps.

    Raises:
        SweepNotFoundError: no sweep goes by one of the references.
    """
    return Comparison(first=read_leaderboard(ledger, first), second=read_leaderboard(ledger, second))
