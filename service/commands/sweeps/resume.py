"""`meltpoint resume`."""

from __future__ import annotations

import sys

from service.commands.surroundings import is_debugging, make_home
from service.formats import Format
from service.logs import configure_logs
from service.terminals import Assign, HomeFlag, Output, SweepRef, own_stdout, stderr, working


def resume(sweep: SweepRef, assign: Assign = None, output: Output = Format.TABLE, home: HomeFlag = None) -> None:
    """Resume a sweep that was paused or interrupted, from the newest checkpoints of its trials."""
    console = stderr()
    place = make_home(home)
    configure_logs(debug=is_debugging())
    from service.clusters import prestart

    with prestart() as prestarted:
        with working(console, "loading Ray Tune"):
            from service.commands.sweeps.outcome_view import show_outcome
            from service.runs.runner import resume_sweep
            from service.sweeps import open_ledger, prepare_resume
            from service.terminals.console_listener import ConsoleListener
        with open_ledger(place) as ledger:
            resumed, spec = prepare_resume(ledger, sweep, assign or ())
        with own_stdout():
            outcome = resume_sweep(resumed, spec, home=place, listener=ConsoleListener(console), prestarted=prestarted)
        sys.exit(show_outcome(outcome, output, console))
