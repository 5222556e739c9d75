"""Facts: the numbers behind the pictures of a report, computed from the ledger's rows alone."""

from service.sweep_reports.facts.base import Section, duration, score
from service.sweep_reports.facts.decisions import summarize_search
from service.sweep_reports.facts.importance import rank_hyperparameters
from service.sweep_reports.facts.report import SweepReport, make_report

__all__ = ["Section", "SweepReport", "duration", "make_report", "rank_hyperparameters", "score", "summarize_search"]
