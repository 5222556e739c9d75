"""`meltpoint ui`: serves MLflow's own UI on loopback, and opens it on a sweep's prepared view."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from service.clocks import now_ms
from service.commands.surroundings import make_home
from service.errors import TrackingError
from service.settings import Home
from service.terminals import HomeFlag, completions, stderr, working

if TYPE_CHECKING:
    from service.ledgers import Sweep

HOST = "127.0.0.1"
READY_SECONDS = 90.0
END_SECONDS = 10.0
GRACE_SECONDS = 1  # for pages that a browser still has open: without it they hold the server up


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
    sys.exit(_serve(place, _free_port(port), shown, browser=browser, console=console))


def _serve(home: Home, port: int, sweep: Sweep | None, *, browser: bool, console: Console) -> int:
    """Serve until Ctrl-C; returns the exit code. Raises TrackingError if MLflow does not come up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with home.server_log.open("wb") as log:
        server = subprocess.Popen(_command(home, port), stdout=log, stderr=log)
    try:
        base = f"http://{HOST}:{port}"
        with working(console, "starting MLflow"):
            _wait_until_ready(base, server, home.server_log)
        _point(base, sweep, browser=browser, console=console)
        console.print("Ctrl-C ends it")
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


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


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise TrackingError(f"port {port} is taken; choose another with --port, or 0 for any") from error
        return int(probe.getsockname()[1])


def _command(home: Home, port: int) -> list[str]:
    return [
        sys.executable,
        *("-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", home.tracking_uri),
        *("--artifacts-destination", home.mlflow_artifacts.as_uri(), "--serve-artifacts"),
        *("--uvicorn-opts", f"--timeout-graceful-shutdown {GRACE_SECONDS}"),
    ]


def _wait_until_ready(base: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            lines = log.read_text(errors="replace").strip().splitlines()
            raise TrackingError(f"MLflow's server ended at once: {lines[-1] if lines else 'no message'} (see {log})")
        try:
            with urllib.request.urlopen(f"{base}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TrackingError(f"MLflow's server was not ready within {READY_SECONDS:.0f} s (see {log})")
