"""`meltpoint confirm`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from service.commands.surroundings import chosen_context, is_debugging, make_home, open_requests
from service.formats import Format
from service.logs import configure_logs
from service.terminals import ContextFlag, HomeFlag, Output, StoreFlag, SweepRef, own_stdout, print_next, stderr, step

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
    follow: Annotated[bool, typer.Option("--follow", help="On a service: follow it to the decision.")] = False,
    _store: StoreFlag = None,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Retrain a sweep's best recipes and the default on fresh seeds, and decide which recipe to use."""
    console = stderr()
    options = {"top_k": top_k, "seeds": seeds, "gate": gate, "tolerance": tolerance}
    changes = {name: value for name, value in options.items() if value is not None}
    from service.terminals.confirmation_views import show_confirmation

    if chosen_context(context) is not None:
        sys.exit(_confirm_there(sweep, changes, output, context, home, follow=follow))
    place = make_home(home)
    configure_logs(debug=is_debugging())
    from service.sweeps import is_complete, open_ledger, prepare_confirmation

    with open_ledger(place) as ledger:
        row, spec, confirmation = prepare_confirmation(ledger, sweep, changes)
    if not is_complete(row, confirmation):
        from service.clusters import prestart

        with prestart() as prestarted:
            with step(console, "loading Ray Tune"):
                from service.runs.runner import confirm_sweep
                from service.terminals.console_listener import ConsoleListener
            with own_stdout():
                listener = ConsoleListener(console, shows_summary=output is not Format.TABLE)
                outcome = confirm_sweep(row, spec, confirmation, home=place, listener=listener, prestarted=prestarted)
        row = outcome.sweep
    sys.exit(show_confirmation(row, output, console))


def _confirm_there(
    reference: str,
    changes: dict[str, float],
    output: Format,
    context: str | None,
    home: Path | None,
    *,
    follow: bool,
) -> int:
    """Queue the confirmation on a service, or print the decision that it has made; return the exit code."""
    from service.ledgers import SweepState
    from service.terminals.confirmation_views import show_confirmation
    from service.terminals.following import follow_confirmation

    with open_requests(context, home) as requests:
        sweep = requests.confirm(reference, changes)
        if follow and sweep.state.is_under_way:
            return follow_confirmation(requests, sweep, output)
        confirmation = requests.confirmation(sweep.id)
        if sweep.state is SweepState.COMPLETED and confirmation is not None:
            return show_confirmation(sweep, output, stderr(), confirmation)
    stderr().print(f"the confirmation of {sweep.id} is {sweep.state}", markup=False)
    print_next("watch", sweep.id)
    return 0
