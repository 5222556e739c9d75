"""Requests about sweeps: list, status, leaderboard, pause, stop, cancel, resume; for commands and HTTP routes alike."""

from service.runs.kept_checkpoints import SweepFiles
from service.sweeps.actions import request_action, wait_until_at_rest
from service.sweeps.changes import DeletedSweep, change_sweep, delete_sweep
from service.sweeps.confirmation import (
    check_has_owner,
    confirmation_as_json,
    find_confirmation,
    is_complete,
    is_confirmable,
    prepare_confirmation,
    queue_confirmation,
    read_confirmation,
)
from service.sweeps.following import is_over
from service.sweeps.home_sweeps import HomeSweeps
from service.sweeps.listing import CountCache, SweepSummary, list_sweeps
from service.sweeps.log_lines import describe_changes, describe_confirming, log_line
from service.sweeps.opening import open_ledger
from service.sweeps.own_code import refuse_own_code
from service.sweeps.progress import SweepProgress
from service.sweeps.queue import QueueEntry, read_nodes, read_queue
from service.sweeps.requests import Submission, SweepRequests
from service.sweeps.results import compare_sweeps, read_leaderboard, read_report, render_report
from service.sweeps.resumption import change_spec, prepare_resume
from service.sweeps.status import ConfirmationStatus, SweepStatus, get_status
from service.sweeps.submission import (
    check_drivers,
    conclude_submission,
    enter_sweep,
    find_repeated,
    queue_resume,
    submit_sweep,
)

__all__ = [
    "ConfirmationStatus",
    "CountCache",
    "DeletedSweep",
    "HomeSweeps",
    "QueueEntry",
    "Submission",
    "SweepFiles",
    "SweepProgress",
    "SweepRequests",
    "SweepStatus",
    "SweepSummary",
    "change_spec",
    "change_sweep",
    "check_drivers",
    "check_has_owner",
    "compare_sweeps",
    "conclude_submission",
    "confirmation_as_json",
    "delete_sweep",
    "describe_changes",
    "describe_confirming",
    "enter_sweep",
    "find_confirmation",
    "find_repeated",
    "get_status",
    "is_complete",
    "is_confirmable",
    "is_over",
    "list_sweeps",
    "log_line",
    "open_ledger",
    "prepare_confirmation",
    "prepare_resume",
    "queue_confirmation",
    "queue_resume",
    "read_confirmation",
    "read_leaderboard",
    "read_nodes",
    "read_queue",
    "read_report",
    "refuse_own_code",
    "render_report",
    "request_action",
    "submit_sweep",
    "wait_until_at_rest",
]
