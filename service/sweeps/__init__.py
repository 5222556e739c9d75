"""Requests about sweeps: list, status, leaderboard, pause, stop, cancel, resume; for commands and HTTP routes alike."""

from service.sweeps.actions import request_action, wait_until_at_rest
from service.sweeps.listing import SweepSummary, list_sweeps
from service.sweeps.opening import open_ledger
from service.sweeps.results import compare_sweeps, read_leaderboard
from service.sweeps.resumption import change_spec, prepare_resume
from service.sweeps.status import SweepStatus, get_status

__all__ = [
    "SweepStatus",
    "SweepSummary",
    "change_spec",
    "compare_sweeps",
    "get_status",
    "list_sweeps",
    "open_ledger",
    "prepare_resume",
    "read_leaderboard",
    "request_action",
    "wait_until_at_rest",
]
