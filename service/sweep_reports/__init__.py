"""Reports of sweeps: the numbers of a sweep, and a page with pictures of them that needs no other file."""

from service.sweep_reports.facts import SweepReport, make_report, rank_hyperparameters, summarize_search
from service.sweep_reports.pages import PAGE_POLICY, Pictures, render_page
from service.sweep_reports.rendering import render_report

__all__ = [
    "PAGE_POLICY",
    "Pictures",
    "SweepReport",
    "make_report",
    "rank_hyperparameters",
    "render_page",
    "render_report",
    "summarize_search",
]
