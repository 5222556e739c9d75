"""Submit sweeps to the drivers of a service, and queue sweeps again, through the ledger."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from search_spaces import MeltpointError, parse_spec
from service.errors import UnavailableError
from service.ledgers import Sweep, SweepState
from service.sweeps.requests import Submission
from service.sweeps.resumption import prepare_resume

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["check_drivers", "queue_resume", "submit_sweep"]

ACCEPTANCE_SECONDS: Final = 30.0
LOCAL_OWNER: Final = "admin"
LOOK_SECONDS: Final = 0.05


def submit_sweep(
    ledger: Ledger,
    submission: Submission,
    *,
    owner: str = LOCAL_OWNER,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Sweep:
    """Write the sweep to the ledger, and wait up to 30 s until a driver has looked at its data and weights.

    owner: the user who submits; by default the admin whom the first start of a service makes.

    Raises:
        SpecError: the sweep file has problems.
        MeltpointError: a driver has refused the sweep; its row is gone again.
        ConflictError: the key was used for another submission.
        UnavailableError: no process of the service drives sweeps.
    """
    check_drivers(ledger)
    spec = parse_spec(submission.text, file=submission.file, assign=submission.assign)
    from service.plans import flat_settings

    sweep, _created = ledger.sweeps.submit(
        name=spec.name,
        spec_text=spec.text,
        spec_file=submission.file,
        metric=spec.metric.name,
        goal=spec.metric.goal,
        seed=spec.seed,
        settings=flat_settings(spec),
        owner=owner,
        priority=submission.priority,
        slot_cap=submission.slot_cap,
        idempotency_key=submission.key,
        request_digest=_digest(submission),
    )
    deadline = clock() + ACCEPTANCE_SECONDS
    while sweep.state is SweepState.VALIDATING and clock() < deadline:
        sleep(LOOK_SECONDS)
        sweep = ledger.sweeps.get(sweep.id)
    if sweep.state is SweepState.FAILED and sweep.started_at is None:
        ledger.sweeps.delete(sweep.id)
        raise MeltpointError(sweep.error or "the sweep was refused")
    return sweep


def queue_resume(ledger: Ledger, reference: str, assign: Sequence[str] = ()) -> Sweep:
    """Queue a sweep again for the drivers of a service.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
        SpecError: an assignment is wrong.
        UsageError: the sweep runs, was cancelled or has nothing left to do, or a setting may not change.
        UnavailableError: no process of the service drives sweeps.
    """
    check_drivers(ledger)
    sweep, spec = prepare_resume(ledger, reference, assign)
    ledger.sweeps.note(sweep.id, spec_text=spec.text)
    return ledger.sweeps.move(sweep.id, SweepState.QUEUED)


def check_drivers(ledger: Ledger) -> None:
    """Raise UnavailableError unless a process of the service drives sweeps of this ledger."""
    drivers = ledger.services.list(role="drivers")
    if not drivers:
        raise UnavailableError("no process drives sweeps of this ledger; start one with: meltpoint serve")
    problems = [service.status.get("problem") for service in drivers if service.status.get("state") == "failed"]
    if len(problems) == len(drivers):
        raise UnavailableError(f"the service cannot run sweeps: {problems[0]}")


def _digest(submission: Submission) -> str:
    facts = [
        submission.text,
        submission.file,
        list(submission.assign),
        submission.priority,
        submission.slot_cap,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
