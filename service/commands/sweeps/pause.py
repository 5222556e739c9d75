"""`meltpoint pause`."""

from __future__ import annotations

from service.commands.sweeps.actions import ask_and_wait
from service.terminals import HomeFlag, SweepRef


def pause(sweep: SweepRef, home: HomeFlag = None) -> None:
    """Pause a sweep: running trials save a checkpoint at their next report and end; `resume` goes on with them."""
    ask_and_wait(sweep, "pause", home)
