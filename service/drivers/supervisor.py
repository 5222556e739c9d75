"""The supervisor of a service: starts a driver for each sweep whose turn it is, and replaces drivers that die."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from service.errors import SweepNotFoundError, TransitionError
from service.ledgers import Ledger, Sweep, SweepAction, SweepState, TrialPhase
from service.queues import Limits, Submission, Waiting, next_to_start, order_queue
from service.runs.leases import mark_interrupted
from service.settings import Home

__all__ = ["DriverHandle", "StartDriver", "Supervisor"]

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Time between two looks for sweeps whose driver has died with its service."""

MOST_DEATHS = 5
"""Deaths of a sweep's drivers in a row, without a finished epoch between, after which the sweep fails."""

_BACK_OFF_SECONDS = (0.0, 0.0, 1.0, 5.0, 15.0)
"""Time before another driver starts, after so many deaths in a row."""

_ELSEWHERE_SECONDS = 5.0
"""Time after which a sweep that another service drove is tried again."""

_WAITING = (SweepState.VALIDATING, SweepState.QUEUED)
_UNATTENDED = (*_WAITING, SweepState.PAUSED, SweepState.INTERRUPTED)
"""States in which a sweep may have no driver that follows requests."""

_ACTIVE = tuple(state for state in SweepState if state.is_under_way and state not in _WAITING)


class DriverHandle(Protocol):
    """A driver's process."""

    def has_ended(self) -> bool:
        """Return whether the process has ended, or has nothing more to do."""

    def failure(self) -> str | None:
        """Return how the process died; None if it ended in order."""

    def terminate(self) -> None:
        """Ask the process to pause its sweep and to end."""

    def kill(self) -> None:
        """End the process at once."""


class StartDriver(Protocol):
    """Starts driver processes."""

    def __call__(self, sweep_id: str, may_start: bool) -> DriverHandle:
        """Start the driver of a sweep; see `DriverTasks.drive`."""


@dataclass
class _Driving:
    handle: DriverHandle
    sweep: Sweep
    may_start: bool
    epochs: int
    is_told_to_end: bool = False


class Supervisor:
    """Brings ledger and processes together, a `step` at a time.

    - A sweep that is `validating` gets a driver that admits it; it goes on at once if it is its turn.
    - Queued sweeps start in the order of the queue; the ledger says why each other waits.
    - Requests about sweeps that wait are carried out here: they have no driver that would follow them.
    - A sweep whose driver died, or ended by an error of ours, is queued again, and fails if that happens again and
      again without progress. A driver that hangs, and so lets its lease run out, is killed.

    Several services may use one ledger: a sweep's lease lets one driver in.

    Ownership: borrows the ledger. Thread safety: one thread calls.
    clock: returns monotonic seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        home: Home,
        start_driver: StartDriver,
        *,
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        self._ledger, self._home, self._start_driver = ledger, home, start_driver
        self._limits, self._clock = limits, clock
        self._drivers: dict[str, _Driving] = {}
        self._deaths: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._looked_at: float | None = None

    @property
    def driven(self) -> list[str]:
        """Ids of the sweeps that have a driver of this service."""
        return list(self._drivers)

    def step(self, problem: str | None = None) -> None:
        """Do what is due now. problem: why no sweep can start, such as that there is no cluster."""
        self._reap()
        if self._looked_at is None or self._clock() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = self._clock()
            mark_interrupted(self._ledger, self._home)
            self._queue_interrupted()
        self._follow_requests()
        sweeps = [sweep for sweep in self._ledger.sweeps.list(states=_WAITING) if sweep.owner is not None]
        if sweeps:
            self._start_those_due(sweeps, problem)

    def drain(self) -> None:
        """Ask every driver to pause its sweep; `step` no longer."""
        for driving in self._drivers.values():
            driving.handle.terminate()

    def finish_draining(self) -> bool:
        """Queue the sweeps whose drivers have paused them; return whether all drivers have ended."""
        for sweep_id, driving in list(self._drivers.items()):
            if driving.handle.has_ended():
                del self._drivers[sweep_id]
                if self._ledger.sweeps.get(sweep_id).state in (SweepState.PAUSED, SweepState.INTERRUPTED):
                    self._queue(sweep_id)
        return not self._drivers

    def _start_those_due(self, sweeps: Iterable[Sweep], problem: str | None) -> None:
        waiting = {sweep.id: sweep for sweep in sweeps if sweep.id not in self._drivers}
        order = self._order(waiting, problem)
        due = set(next_to_start(order))
        for entry in order:
            sweep = waiting[entry.sweep_id]
            if self._clock() < self._not_before.get(sweep.id, 0.0):
                continue
            if sweep.id in due:
                self._start(sweep, may_start=True)
            elif sweep.state is SweepState.VALIDATING:
                self._start(sweep, may_start=False)
            if entry.reason != sweep.waiting_for:
                self._ledger.sweeps.explain_waiting(sweep.id, entry.reason)

    def _order(self, waiting: Mapping[str, Sweep], problem: str | None) -> list[Waiting]:
        active = {sweep.id: sweep for sweep in self._ledger.sweeps.list(states=_ACTIVE) if sweep.owner is not None}
        active |= {sweep_id: driving.sweep for sweep_id, driving in self._drivers.items() if driving.may_start}
        users = {user.name: user for user in self._ledger.users.list()} if waiting else {}
        return order_queue(
            [Submission.from_sweep(sweep) for sweep in waiting.values()],
            [Submission.from_sweep(sweep) for sweep in active.values()],
            users,
            self._limits,
            problem=problem,
        )

    def _start(self, sweep: Sweep, *, may_start: bool) -> None:
        epochs = self._ledger.trials.count_epochs(sweep.id)
        try:
            handle = self._start_driver(sweep.id, may_start)
        except OSError:  # the fork server is away: it is started anew
            log.warning("no driver for %s", sweep.id, exc_info=True)
            self._not_before[sweep.id] = self._clock() + 1.0
            return
        self._drivers[sweep.id] = _Driving(handle, sweep, may_start, epochs)

    def _reap(self) -> None:
        for sweep_id, driving in list(self._drivers.items()):
            if not driving.handle.has_ended():
                continue
            del self._drivers[sweep_id]
            failure = driving.handle.failure()
            try:
                sweep = self._ledger.sweeps.get(sweep_id)
            except SweepNotFoundError:  # it was refused, and deleted by whoever submitted it
                continue
            if failure is None and sweep.state is SweepState.INTERRUPTED:
                failure = sweep.error or "its driver was interrupted"
            if failure is not None:
                self._after_death(sweep_id, driving, failure)
            elif driving.may_start and sweep.state in _WAITING:
                self._not_before[sweep_id] = self._clock() + _ELSEWHERE_SECONDS
            else:
                self._deaths.pop(sweep_id, None)

    def _after_death(self, sweep_id: str, driving: _Driving, failure: str) -> None:
        """Queue the sweep again, or fail it if its drivers die again and again."""
        log.warning("the driver of %s died: %s", sweep_id, failure)
        mark_interrupted(self._ledger, self._home)
        progress = self._ledger.trials.count_epochs(sweep_id) > driving.epochs
        deaths = 0 if driving.is_told_to_end else 1 if progress else self._deaths.get(sweep_id, 0) + 1
        self._deaths[sweep_id] = deaths
        back_off = _BACK_OFF_SECONDS[min(deaths, len(_BACK_OFF_SECONDS) - 1)]
        self._not_before[sweep_id] = self._clock() + back_off
        sweep = self._ledger.sweeps.get(sweep_id)
        if deaths >= MOST_DEATHS and not sweep.state.is_finished:
            self._ledger.sweeps.move(
                sweep_id,
                sweep.failure_state,
                error=f"its driver died {deaths} times in a row; the last time: {failure}",
            )
        elif sweep.state is SweepState.INTERRUPTED:
            self._queue_for_another_driver(sweep)

    def _queue_interrupted(self) -> None:
        for sweep in self._ledger.sweeps.list(states=(SweepState.INTERRUPTED,)):
            if sweep.owner is None:
                continue
            if sweep.id not in self._drivers:
                self._queue_for_another_driver(sweep)
            elif self._ledger.leases.holder(sweep.id) is None:
                log.warning("the driver of %s has not renewed its lease; it is killed", sweep.id)
                self._drivers[sweep.id].handle.kill()

    def _queue_for_another_driver(self, sweep: Sweep) -> None:
        self._ledger.sweeps.note(sweep.id, restarts=sweep.restarts + 1)
        self._queue(sweep.id)

    def _queue(self, sweep_id: str) -> None:
        """Queue a sweep again; a request that its driver did not come to stays."""
        requested = self._ledger.sweeps.requested_action(sweep_id)
        with _unless_others_were_quicker(sweep_id):
            self._ledger.sweeps.move(sweep_id, SweepState.QUEUED)
            if requested is not None:
                self._ledger.sweeps.request_action(sweep_id, requested)

    def _follow_requests(self) -> None:
        for sweep, action in self._ledger.sweeps.list_requests(_UNATTENDED):
            driving = self._drivers.get(sweep.id)
            with _unless_others_were_quicker(sweep.id):
                if driving is not None and sweep.state in _WAITING:
                    self._end_preparations(driving, sweep, action)
                elif sweep.owner is not None:
                    self._carry_out(sweep, action)

    def _end_preparations(self, driving: _Driving, sweep: Sweep, action: SweepAction) -> None:
        """End a driver that still prepares a sweep, which may take minutes; it follows requests once trials run."""
        prepares = {SweepAction.CANCEL: _WAITING, SweepAction.PAUSE: (SweepState.QUEUED,)}.get(action, ())
        if sweep.state in prepares and not driving.is_told_to_end:
            driving.is_told_to_end = True
            driving.handle.terminate()

    def _carry_out(self, sweep: Sweep, action: SweepAction) -> None:
        """Do what was requested about a sweep without a driver.

        A search with trials is stopped by its next driver, which registers its best model; a confirmation at once.
        """
        sweeps, confirms = self._ledger.sweeps, sweep.phase is TrialPhase.CONFIRM
        if action is SweepAction.CANCEL:
            sweeps.cancel(sweep.id)
        elif sweep.state is SweepState.QUEUED and action is SweepAction.PAUSE:
            sweeps.move(sweep.id, SweepState.PAUSED, error=action.reason)
        elif sweep.state is SweepState.QUEUED and (confirms or not self._ledger.trials.count_epochs(sweep.id)):
            sweeps.move(sweep.id, SweepState.STOPPED, error=action.reason)


@contextmanager
def _unless_others_were_quicker(sweep_id: str) -> Iterator[None]:
    """Ignore that a sweep has moved on meanwhile."""
    try:
        yield
    except TransitionError:
        log.info("%s has moved on", sweep_id, exc_info=True)
