"""Changes of a sweep: pause, stop, cancel, change of budget, priority and slot cap, delete."""

from __future__ import annotations

from functools import partial

from search_spaces import SweepSpec
from service.api.routes.parameters import SweepReference
from service.api.routes.strict_routes import make_router
from service.api.state import Caller, Submitter
from service.ledgers import Sweep, SweepAction
from service.queues import check_priority, check_trials
from service.schemas import ActionResult, SweepChange, SweepModel
from service.sweeps import change_sweep, delete_sweep, request_action

__all__ = ["router"]

router = make_router("sweeps", 409)


@router.post("/sweeps/{ref}/pause", operation_id="pause_sweep")
def pause_sweep(ref: SweepReference, caller: Submitter) -> SweepModel:
    """Ask for a pause: running trials end at their next report, and can be resumed."""
    return _act(ref, caller, SweepAction.PAUSE)


@router.post("/sweeps/{ref}/stop", operation_id="stop_sweep")
def stop_sweep(ref: SweepReference, caller: Submitter) -> SweepModel:
    """Ask for a stop: no further trial starts, the running ones finish."""
    return _act(ref, caller, SweepAction.STOP)


@router.post("/sweeps/{ref}/cancel", operation_id="cancel_sweep")
def cancel_sweep(ref: SweepReference, caller: Submitter) -> SweepModel:
    """Ask for a cancellation: running trials end at once, for good."""
    return _act(ref, caller, SweepAction.CANCEL)


@router.patch("/sweeps/{ref}", operation_id="change_sweep")
def patch_sweep(ref: SweepReference, change: SweepChange, caller: Submitter) -> SweepModel:
    """Change a sweep's budget, priority or slot cap, also while it runs."""
    sweep = caller.find_to_change(ref)
    if change.priority is not None:
        check_priority(caller.identity.role, change.priority, present=sweep.priority, sweep_id=sweep.id)
    slot_cap = (change.slot_cap or 0) if "slot_cap" in change.model_fields_set else None
    changed = change_sweep(
        caller.ledger,
        sweep.id,
        assign=change.assign,
        priority=change.priority,
        slot_cap=slot_cap,
        check=partial(_check_trials, caller),
    )
    caller.note_detail({"changes": sweep.changes_to(changed)})
    return SweepModel.from_record(changed)


@router.delete("/sweeps/{ref}", operation_id="delete_sweep")
def remove_sweep(ref: SweepReference, caller: Submitter) -> ActionResult:
    """Delete a sweep that no process drives, with its trials and checkpoints; MLflow keeps its runs and models."""
    sweep = caller.find_to_change(ref)
    delete_sweep(caller.ledger, caller.home, sweep.id)
    return ActionResult(id=sweep.id, result="deleted")


def _check_trials(caller: Caller, sweep: Sweep, spec: SweepSpec) -> None:
    """Check that the sweep gets no more trials than its owner's sweeps may have."""
    if sweep.owner is not None and spec.budget.trials > sweep.settings.get("budget.trials", 0):
        check_trials(caller.ledger.users.get(sweep.owner), spec.budget.trials)


def _act(ref: str, caller: Caller, action: SweepAction) -> SweepModel:
    return SweepModel.from_record(request_action(caller.ledger, caller.find_to_change(ref).id, action))
