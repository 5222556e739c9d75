"""`meltpoint cancel`."""

from __future__ import annotations

from service.commands.sweeps.actions import ask_and_wait
from service.terminals import ContextFlag, HomeFlag, SweepRef


def cancel(sweep: SweepRef, context: ContextFlag = None, home: HomeFlag = None) -> None:
    """Cancel a sweep at once; it cannot be resumed."""
    ask_and_wait(sweep, "cancel", context, home)
