"""States of sweeps and trials, and the states that may follow each."""

from __future__ import annotations

from enum import StrEnum


class SweepState(StrEnum):
    """The state of a sweep."""

    VALIDATING = "validating"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    STOPPING = "stopping"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    FAILED = "failed"

    @property
    def is_finished(self) -> bool:
        """True if the sweep has ended: for good if it is cancelled, else until it gets more budget."""
        return self in _FINISHED_SWEEPS

    @property
    def rests(self) -> bool:
        """True if the sweep has not finished and waits to be resumed."""
        return self in (SweepState.PAUSED, SweepState.INTERRUPTED)

    @property
    def is_under_way(self) -> bool:
        """True if a process drives the sweep, or should."""
        return not self.is_finished and not self.rests

    def may_become(self, following: SweepState) -> bool:
        """Return whether `following` may come next."""
        return following in _SWEEP_TRANSITIONS[self]


class TrialPhase(StrEnum):
    """A phase of a sweep: the search, or the confirmation, which retrains the best recipes."""

    SEARCH = "search"
    CONFIRM = "confirm"


class TrialState(StrEnum):
    """The state of a trial."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    RETRYING = "retrying"
    COMPLETED = "completed"
    PRUNED = "pruned"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_finished(self) -> bool:
        """True if the trial has ended for good."""
        return self in _FINISHED_TRIALS

    def may_become(self, following: TrialState) -> bool:
        """Return whether `following` may come next."""
        return following in _TRIAL_TRANSITIONS[self]


_S, _T = SweepState, TrialState

_FINISHED_SWEEPS = frozenset({_S.COMPLETED, _S.STOPPED, _S.CANCELLED, _S.FAILED})
_FINISHED_TRIALS = frozenset({_T.COMPLETED, _T.PRUNED, _T.FAILED, _T.CANCELLED})

_ABORTS = frozenset({_S.CANCELLING, _S.CANCELLED, _S.INTERRUPTED, _S.FAILED})

_SWEEP_TRANSITIONS: dict[SweepState, frozenset[SweepState]] = {
    _S.VALIDATING: frozenset({_S.QUEUED, _S.RUNNING}) | _ABORTS,
    # Completed at once: a confirmation that cannot begin leaves the search's end as it was.
    _S.QUEUED: frozenset({_S.RUNNING, _S.PAUSED, _S.STOPPED, _S.COMPLETED}) | _ABORTS,
    _S.RUNNING: frozenset({_S.PAUSING, _S.STOPPING, _S.COMPLETED}) | _ABORTS,
    _S.PAUSING: frozenset({_S.PAUSED, _S.COMPLETED}) | _ABORTS,
    # Completed: a confirmation that is cancelled; its search has ended.
    _S.PAUSED: frozenset({_S.QUEUED, _S.RUNNING, _S.STOPPED, _S.COMPLETED}) | _ABORTS,
    _S.STOPPING: frozenset({_S.STOPPED, _S.COMPLETED}) | _ABORTS,
    _S.CANCELLING: frozenset({_S.CANCELLED, _S.FAILED}),
    _S.INTERRUPTED: frozenset({_S.QUEUED, _S.RUNNING, _S.COMPLETED}) | _ABORTS,
    # With more budget than it had.
    **{state: frozenset({_S.QUEUED, _S.RUNNING}) for state in (_S.COMPLETED, _S.STOPPED, _S.FAILED)},
    _S.CANCELLED: frozenset(),
}

_TRIAL_ENDS = _FINISHED_TRIALS

_TRIAL_TRANSITIONS: dict[TrialState, frozenset[TrialState]] = {
    _T.PENDING: frozenset({_T.RUNNING, _T.FAILED, _T.CANCELLED}),
    _T.RUNNING: frozenset({_T.PAUSED, _T.RETRYING}) | _TRIAL_ENDS,
    _T.PAUSED: frozenset({_T.RUNNING, _T.RETRYING}) | _TRIAL_ENDS,
    _T.RETRYING: frozenset({_T.RUNNING, _T.FAILED, _T.CANCELLED}),
    **{state: frozenset() for state in _FINISHED_TRIALS},
}
