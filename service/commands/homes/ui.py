"""`meltpoint ui`: serves MLflow's own UI on loopback, and opens it on a sweep's prepared view."""

from __future__ import annotations

import signal
import sys
import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from service.clocks import now_ms
from service.commands.surroundings import make_home
from service.settings import Home
from service.terminals import HomeFlag, completions, stderr, working

if TYPE_CHECKING:
    from service.ledgers import Sweep


def ui(
    sweep: Annotated[
        str | None,
        typer.Argument(metavar="SWEEP", help="Open this sweep's prepared view.", autocompletion=completions.sweeps),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = 5000,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
    home: HomeFlag = None,
) -> None:
    """Serve MLflow's UI on loopback until Ctrl-C."""
    place, console = make_home(home), stderr()
    shown = _find(sweep, place)
    if place.tracking_uri.startswith(("http://", "https://")):
        _point(place.tracking_uri.rstrip("/"), shown, browser=browser, console=console)
        return
    sys.exit(_serve(place, port, shown, browser=browser, console=console))


def _serve(home: Home, port: int, sweep: Sweep | None, *, browser: bool, console: Console) -> int:
    """Serve until Ctrl-C; return the exit code. Raises TrackingError if MLflow does not come up."""
    from service.tracking import MlflowServer

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = MlflowServer(home, port=port)
    try:
        with working(console, "starting MLflow"):
            server.wait_until_ready()
        _point(f"http://127.0.0.1:{server.address.port}", sweep, browser=browser, console=console)
        console.print("Ctrl-C ends it")
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.close()


def _find(reference: str | None, home: Home) -> Sweep | None:
    from service.ledgers import Ledger

    ledger = Ledger.open(home, clock=now_ms)
    try:
        if reference is not None:
            return ledger.sweeps.find(reference)
        return next(iter(ledger.sweeps.list(limit=1)), None)
    finally:
        ledger.close()


def _point(base: str, sweep: Sweep | None, *, browser: bool, console: Console) -> None:
    from service.tracking import view_address

    address = base
    if sweep is not None and sweep.mlflow is not None:
        address = view_address(base, sweep.mlflow["experiment_id"], sweep.id)
    console.print(f"MLflow: {address}", soft_wrap=True, markup=False)
    if browser:
        webbrowser.open(address)
