"""`meltpoint resume`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from service.commands.surroundings import chosen_context, is_debugging, make_home, open_requests
from service.formats import Format
from service.logs import configure_logs
from service.terminals import (
    Assign,
    ContextFlag,
    HomeFlag,
    Output,
    StoreFlag,
    SweepRef,
    own_stdout,
    print_data,
    print_next,
    stderr,
    step,
)


def resume(
    sweep: SweepRef,
    assign: Assign = None,
    output: Output = Format.TABLE,
    _store: StoreFlag = None,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Resume a sweep that was paused or interrupted, from the newest checkpoints of its trials."""
    from search_spaces import assign_recipes

    assign = assign_recipes(assign or ())
    if chosen_context(context) is None:
        _resume_here(sweep, assign, output, home)
    with open_requests(context, home) as requests:
        resumed = requests.resume(sweep, assign)
    if output is not Format.TABLE:
        print_data({"sweep_id": resumed.id, "name": resumed.name, "state": resumed.state.value}, output)
    else:
        stderr().print(f"{resumed.id} is {resumed.state}", markup=False)
    print_next("watch", resumed.id)


def _resume_here(sweep: str, assign: Sequence[str], output: Format, home: Path | None) -> NoReturn:
    """Resume the sweep in this process, and end the process with it."""
    console = stderr()
    place = make_home(home)
    configure_logs(debug=is_debugging())
    from service.clusters import prestart

    with prestart() as prestarted:
        with step(console, "loading Ray Tune"):
            from service.runs.runner import resume_sweep
            from service.sweeps import open_ledger, prepare_resume
            from service.terminals.console_listener import ConsoleListener
            from service.terminals.outcome_views import OutcomeView
        with open_ledger(place) as ledger:
            resumed, spec = prepare_resume(ledger, sweep, assign)
        view = OutcomeView(output, console)
        with own_stdout():
            listener = ConsoleListener(console, shows_summary=output is not Format.TABLE, show_result=view.show_result)
            outcome = resume_sweep(resumed, spec, home=place, listener=listener, prestarted=prestarted)
        sys.exit(view.show_end(outcome))
