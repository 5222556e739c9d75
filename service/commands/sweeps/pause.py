"""`meltpoint pause`."""

from __future__ import annotations

from service.commands.sweeps.actions import ask_and_wait
from service.terminals import ContextFlag, HomeFlag, SweepRef


def pause(sweep: SweepRef, context: ContextFlag = None, home: HomeFlag = None) -> None:
    """Pause a sweep: running trials save a checkpoint at their next report and end; `resume` goes on with them."""
    ask_and_wait(sweep, "pause", context, home)
