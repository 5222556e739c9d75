"""`meltpoint confirm`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from service.commands.surroundings import is_debugging, make_home
from service.formats import Format
from service.logs import configure_logs
from service.terminals import HomeFlag, Output, SweepRef, own_stdout, stderr, working

TopK = Annotated[int | None, typer.Option("--top-k", min=1, max=20, help="Most finalists; by default 3.")]
Seeds = Annotated[int | None, typer.Option("--seeds", min=2, max=64, help="Trainings of each recipe; by default 4.")]
Gate = Annotated[
    float | None,
    typer.Option("--gate", min=0.5, max=0.999, help="Probability that a winner needs; by default 0.9."),
]
Tolerance = Annotated[
    float | None,
    typer.Option("--tolerance", min=0, max=1, help="Expected loss of score for a cheaper recipe; by default 0.0025."),
]


def confirm(
    sweep: SweepRef,
    top_k: TopK = None,
    seeds: Seeds = None,
    gate: Gate = None,
    tolerance: Tolerance = None,
    output: Output = Format.TABLE,
    home: HomeFlag = None,
) -> None:
    """Retrain a sweep's best recipes and the default on fresh seeds, and decide which recipe to use."""
    console = stderr()
    place = make_home(home)
    configure_logs(debug=is_debugging())
    options = {"top_k": top_k, "seeds": seeds, "gate": gate, "tolerance": tolerance}
    changes = {name: value for name, value in options.items() if value is not None}
    from service.commands.production.confirmation_view import show_confirmation
    from service.sweeps import is_complete, open_ledger, prepare_confirmation

    with open_ledger(place) as ledger:
        row, spec, confirmation = prepare_confirmation(ledger, sweep, changes)
    if not is_complete(row, confirmation):
        from service.clusters import prestart

        with prestart() as prestarted:
            with working(console, "loading Ray Tune"):
                from service.runs.runner import confirm_sweep
                from service.terminals.console_listener import ConsoleListener
            with own_stdout():
                listener = ConsoleListener(console)
                outcome = confirm_sweep(row, spec, confirmation, home=place, listener=listener, prestarted=prestarted)
        row = outcome.sweep
    sys.exit(show_confirmation(row, output, console))
