"""Submit sweeps to the drivers of a service, and queue sweeps again, through the ledger."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from search_spaces import MeltpointError, SweepSpec, parse_spec
from service.errors import StartingError, SweepNotFoundError, UnavailableError
from service.ledgers import Sweep, SweepState
from service.plans import flat_settings
from service.queues import find_problem
from service.sweeps.requests import Submission
from service.sweeps.resumption import make_revision, prepare_resume
from service.warm_starts import read_earlier

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["check_drivers", "conclude_submission", "enter_sweep", "find_repeated", "queue_resume", "submit_sweep"]

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
    sweep = find_repeated(ledger, submission, owner=owner)
    if sweep is None:
        check_drivers(ledger)
        spec = parse_spec(submission.text, file=submission.file, assign=submission.assign)
        sweep = enter_sweep(ledger, submission, spec=spec, owner=owner)
    deadline = clock() + ACCEPTANCE_SECONDS
    while sweep.state is SweepState.VALIDATING and clock() < deadline:
        sleep(LOOK_SECONDS)
        sweep = ledger.sweeps.get(sweep.id)
    return conclude_submission(ledger, sweep)


def find_repeated(ledger: Ledger, submission: Submission, *, owner: str) -> Sweep | None:
    """Return the sweep of an earlier submission of the owner with the same key; None if there is none.

    A repeated submission gets its sweep however the service stands by now, and whatever limits have been reached.

    Raises:
        ConflictError: the key was used for another submission.
    """
    if submission.key is None:
        return None
    return ledger.sweeps.find_submission(owner, submission.key, _digest(submission))


def enter_sweep(
    ledger: Ledger, submission: Submission, *, spec: SweepSpec, owner: str, visible_to: str | None = None
) -> Sweep:
    """Write a sweep to the ledger, for a driver to look at its data and weights.

    spec: the submission's, parsed. visible_to: the user whose sweeps alone may be started from; None for all.

    Raises:
        ConflictError: the key was used for another submission.
        SpecError: an earlier sweep that `search.from` names does not exist, or has no results.
    """
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
        warm_start=read_earlier(ledger, spec, visible_to=visible_to),
    )
    return sweep


def conclude_submission(ledger: Ledger, sweep: Sweep) -> Sweep:
    """Return a sweep that a driver has looked at; if the driver has refused it, delete its row and say why.

    Raises:
        MeltpointError: a driver has refused the sweep.
    """
    if sweep.state is SweepState.FAILED and sweep.started_at is None:
        with suppress(SweepNotFoundError):  # another request with the same key was quicker
            ledger.sweeps.delete(sweep.id)
        raise MeltpointError(sweep.error or "the sweep was refused")
    return sweep


def queue_resume(ledger: Ledger, reference: str, assign: Sequence[str] = ()) -> Sweep:
    """Queue a sweep again for the drivers of a service.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
        SpecError: an assignment is wrong.
        UsageError: the sweep runs, was cancelled or has nothing left to do, or a setting may not change.
        ConflictError: the sweep was changed by somebody else just now.
        UnavailableError: no process of the service drives sweeps.
    """
    check_drivers(ledger)
    sweep, spec = prepare_resume(ledger, reference, assign)
    if assign:
        ledger.sweeps.revise(sweep.id, make_revision(sweep.spec_text, spec))
    return ledger.sweeps.move(sweep.id, SweepState.QUEUED)


def check_drivers(ledger: Ledger) -> None:
    """Check that a process of the service drives sweeps of this ledger.

    Raises:
        StartingError: it starts just now.
        UnavailableError: there is none, or it cannot run sweeps.
    """
    processes = ledger.services.list(role="drivers")
    problem = find_problem(processes)
    if problem is not None:
        states = [process.status.get("state") for process in processes]
        is_starting = "starting" in states and "failed" not in states
        raise (StartingError if is_starting else UnavailableError)(problem)


def _digest(submission: Submission) -> str:
    facts = [
        submission.text,
        submission.file,
        list(submission.assign),
        submission.priority,
        submission.slot_cap,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
