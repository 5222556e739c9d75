"""The end of a stream of events: when a reader who follows a sweep has seen everything."""

from __future__ import annotations

from service.clocks import now_ms
from service.ledgers import Sweep, SweepState

__all__ = ["PATIENCE_SECONDS", "is_over"]

OLD_SECONDS = 600.0
"""Age at which a reader no longer waits; so much longer, because two machines' clocks may differ."""

PATIENCE_SECONDS = 60.0
"""Time that a reader waits for the registration of a model, or for a service to go on with an interrupted sweep."""

_REGISTERING = (SweepState.COMPLETED, SweepState.STOPPED)


def is_over(sweep: Sweep, *, quiet_seconds: float, is_remote: bool, now: int | None = None) -> bool:
    """Return whether no further event of the sweep is to be expected.

    quiet_seconds: time in which a reader has seen no event. is_remote: whether a service goes on with an interrupted
    sweep. now: UTC milliseconds since 1970, by default the present.
    """
    if sweep.state.is_under_way:
        return False
    registers = sweep.state in _REGISTERING and sweep.registered is None
    continues = sweep.state is SweepState.INTERRUPTED and is_remote
    age = 0.0 if sweep.finished_at is None else ((now or now_ms()) - sweep.finished_at) / 1000
    return not (registers or continues) or quiet_seconds >= PATIENCE_SECONDS or age >= OLD_SECONDS
