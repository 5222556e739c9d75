"""Rendering: from a sweep in the ledger to the page of its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from service.ledgers import Sweep
from service.sweep_reports.facts import make_report
from service.sweep_reports.pages import render_page

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["render_report"]


def render_report(ledger: Ledger, sweep: Sweep, *, images: Path | None = None) -> str:
    """Return a sweep's report as a page. images: folder of prepared images to show; None to leave images out."""
    report = make_report(ledger, sweep)
    if images is None:
        return render_page(report)
    from service.sweep_reports.images import read_pictures  # importing it loads torch

    return render_page(report, read_pictures(report, sweep, images))
