"""`meltpoint ui`: opens MLflow's own UI on a sweep's prepared view: the service's, or one that it serves itself."""

from __future__ import annotations

import signal
import sys
import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from service.commands.surroundings import make_home, open_requests
from service.settings import Home
from service.terminals import ContextFlag, HomeFlag, completions, stderr, working

if TYPE_CHECKING:
    from service.ledgers import Sweep
    from service.sweeps import SweepRequests


def ui(
    sweep: Annotated[
        str | None,
        typer.Argument(metavar="SWEEP", help="Open this sweep's prepared view.", autocompletion=completions.sweeps),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = 5000,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Open MLflow's UI: that of the service with a context, else one on loopback, until Ctrl-C."""
    console = stderr()
    with open_requests(context, home) as requests:
        shown, address = _find(sweep, requests), requests.mlflow_address
    if address is not None:
        _point(address, shown, browser=browser, console=console)
        return
    sys.exit(_serve(make_home(home), port, shown, browser=browser, console=console))


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


def _find(reference: str | None, requests: SweepRequests) -> Sweep | None:
    """Return the sweep that is asked for, by default the newest; None if there is none."""
    if reference is None:  # a list leaves out the ids of MLflow
        reference = next((summary.sweep.id for summary in requests.list(limit=1)), None)
    return None if reference is None else requests.find(reference)


def _point(base: str, sweep: Sweep | None, *, browser: bool, console: Console) -> None:
    from service.tracking import view_address

    address = f"{base}/"
    if sweep is not None and sweep.mlflow is not None:
        address = view_address(base, sweep.mlflow["experiment_id"], sweep.id)
    console.print(f"MLflow: {address}", soft_wrap=True, markup=False)
    if browser:
        webbrowser.open(address)
