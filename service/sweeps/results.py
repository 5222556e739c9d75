"""Results of sweeps: leaderboards, reports, and comparisons of two sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from service.reports import Comparison, Leaderboard

if TYPE_CHECKING:
    from service.ledgers import Ledger
    from service.sweep_reports import SweepReport

__all__ = ["compare_sweeps", "read_leaderboard", "read_report", "render_report"]


def read_leaderboard(ledger: Ledger, reference: str, *, readings_of: int | None = None) -> Leaderboard:
    """Return a sweep's trials, best first; readings_of: see `Leaderboard.read`.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
    """
    return Leaderboard.read(ledger, ledger.sweeps.find(reference), with_standing=True, readings_of=readings_of)


def read_report(ledger: Ledger, reference: str) -> SweepReport:
    """Return the numbers behind a sweep's report.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
    """
    from service.sweep_reports import make_report  # importing it loads NumPy

    return make_report(ledger, ledger.sweeps.find(reference))


def render_report(ledger: Ledger, reference: str, *, images: Path | None = None) -> str:
    """Return a sweep's report as a page. images: folder of prepared images to show; None to leave images out.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
    """
    from service.sweep_reports import render_report as render  # importing it loads NumPy

    return render(ledger, ledger.sweeps.find(reference), images=images)


def compare_sweeps(ledger: Ledger, first: str, second: str) -> Comparison:
    """Return what differs between two sweeps.

    Raises:
        SweepNotFoundError: no sweep goes by one of the references.
    """
    return Comparison(first=read_leaderboard(ledger, first), second=read_leaderboard(ledger, second))
