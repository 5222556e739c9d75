"""`meltpoint stop`."""

from __future__ import annotations

from service.commands.sweeps.actions import ask_and_wait
from service.terminals import ContextFlag, HomeFlag, SweepRef


def stop(sweep: SweepRef, context: ContextFlag = None, home: HomeFlag = None) -> None:
    """Stop a sweep: running trials finish, no other trial starts, and the best model is registered."""
    ask_and_wait(sweep, "stop", context, home)
