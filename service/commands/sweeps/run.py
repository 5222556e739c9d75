"""`meltpoint run`."""

from __future__ import annotations

import sys

from search_spaces import load_spec
from service.commands.surroundings import is_debugging, make_home
from service.formats import Format
from service.logs import configure_logs
from service.terminals import Assign, HomeFlag, Output, Spec, StoreFlag, own_stdout, stderr, step


def run(
    spec: Spec,
    assign: Assign = None,
    output: Output = Format.TABLE,
    _store: StoreFlag = None,
    home: HomeFlag = None,
) -> None:
    """Run a sweep here, with live progress, and print its leaderboard."""
    console = stderr()
    loaded = load_spec(spec, assign or ())
    place = make_home(home)
    configure_logs(debug=is_debugging())
    from service.clusters import prestart

    with prestart() as prestarted:
        with step(console, "loading Ray Tune"):
            from service.runs.runner import run_sweep
            from service.terminals.console_listener import ConsoleListener
            from service.terminals.outcome_views import OutcomeView
        view = OutcomeView(output, console)
        with own_stdout():
            listener = ConsoleListener(console, shows_summary=output is not Format.TABLE, show_result=view.show_result)
            outcome = run_sweep(loaded, home=place, listener=listener, prestarted=prestarted)
        sys.exit(view.show_end(outcome))
