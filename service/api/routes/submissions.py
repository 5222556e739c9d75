"""Submission and resumption of sweeps."""

from __future__ import annotations

from fastapi import Response
from starlette.concurrency import run_in_threadpool

from search_spaces import SweepSpec, parse_spec
from service.api.routes.parameters import IdempotencyKey, SweepReference
from service.api.routes.strict_routes import PREFIX, make_router
from service.api.state import Caller, Submitter
from service.errors import UsageError
from service.ledgers import Sweep, SweepState
from service.queues import check_priority, check_quota
from service.schemas import ConfirmRequest, ResumeRequest, SubmitRequest, SweepModel
from service.sweeps import (
    Submission,
    check_drivers,
    check_has_owner,
    conclude_submission,
    enter_sweep,
    find_repeated,
    prepare_resume,
    queue_confirmation,
    queue_resume,
    refuse_own_code,
)

__all__ = ["router"]

router = make_router("sweeps", 409, 429)

_WAITING = (SweepState.VALIDATING, SweepState.QUEUED)


@router.post(
    "/sweeps",
    operation_id="submit_sweep",
    status_code=201,
    responses={
        201: {"headers": {"Location": {"description": "Path of the sweep", "schema": {"type": "string"}}}},
    },
)
async def submit_sweep(
    request: SubmitRequest, caller: Submitter, response: Response, idempotency_key: IdempotencyKey = None
) -> SweepModel:
    """Submit a sweep.

    Waits up to 30 s until a driver has looked at the data and the weights; a sweep that it refuses is not kept.
    """
    sweep = await run_in_threadpool(_enter, request, caller, idempotency_key)
    caller.note_target(sweep.id)
    sweep = await caller.hub.wait_until(
        sweep, lambda present: present.state is not SweepState.VALIDATING, caller.api.settings.acceptance_seconds
    )
    sweep = await run_in_threadpool(conclude_submission, caller.ledger, sweep)
    response.headers["Location"] = f"{PREFIX}/sweeps/{sweep.id}"
    return SweepModel.from_record(sweep)


@router.post("/sweeps/{ref}/resume", operation_id="resume_sweep")
def resume_sweep(ref: SweepReference, request: ResumeRequest, caller: Submitter) -> SweepModel:
    """Queue a sweep again that was paused or interrupted, or that has finished and gets a larger budget."""
    sweep = caller.find_to_change(ref)
    if sweep.owner is None:
        raise UsageError(
            f"{sweep.id} was made by `meltpoint run` and belongs to no user of this service; resume it where it ran"
        )
    check_drivers(caller.ledger)
    _, spec = prepare_resume(caller.ledger, sweep.id, request.assign)
    _check_limits(spec, caller, sweep.owner)
    resumed = queue_resume(caller.ledger, sweep.id, request.assign)
    caller.note_detail({"changes": sweep.changes_to(resumed)})
    return SweepModel.from_record(resumed)


@router.post("/sweeps/{ref}/confirm", operation_id="confirm_sweep")
def confirm_sweep(ref: SweepReference, request: ConfirmRequest, caller: Submitter) -> SweepModel:
    """Queue a confirmation: the best recipes and the default are trained anew; one that is decided stays as it is."""
    sweep = caller.find_to_change(ref)
    check_has_owner(sweep)
    caller.note_detail({"changes": request.changes()})
    return SweepModel.from_record(queue_confirmation(caller.ledger, sweep.id, request.changes()))


def _enter(request: SubmitRequest, caller: Caller, key: str | None) -> Sweep:
    """Check the submission and write it to the ledger; a repeated one returns the sweep of the first."""
    submission = Submission(
        text=request.spec,
        file=request.file,
        assign=tuple(request.assign),
        priority=request.priority,
        slot_cap=request.slot_cap,
        key=key,
    )
    owner = caller.identity.user
    if repeated := find_repeated(caller.ledger, submission, owner=owner):
        return repeated
    check_drivers(caller.ledger)
    spec = parse_spec(request.spec, file=request.file, assign=request.assign)
    if not caller.identity.own_code:
        refuse_own_code(spec, owner)
    check_priority(caller.identity.role, request.priority)
    _check_limits(spec, caller, owner)
    return enter_sweep(caller.ledger, submission, spec=spec, owner=owner, visible_to=caller.owner)


def _check_limits(spec: SweepSpec, caller: Caller, owner: str) -> None:
    waiting = len(caller.ledger.sweeps.list(states=_WAITING, owner=owner))
    user = caller.ledger.users.get(owner)
    check_quota(user, waiting=waiting, trials=spec.budget.trials, limits=caller.api.settings.limits)
