"""`meltpoint ui`: MLflow's own server on loopback, opened on a sweep's prepared view."""

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

from rich.console import Console

from service.clocks import now_ms
from service.errors import TrackingError
from service.ledgers import Ledger, Sweep
from service.settings import Home
from service.terminals import working
from service.tracking import view_address

HOST = "127.0.0.1"
READY_SECONDS = 90.0
END_SECONDS = 10.0
GRACE_SECONDS = 1  # for pages that a browser still has open: without it they hold the server up


def ui(reference: str | None, *, port: int, browser: bool, home: Home, console: Console) -> int:
    """Serve until Ctrl-C; returns the exit code.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
        TrackingError: the port is taken, or MLflow did not come up.
    """
    sweep = _find(reference, home)
    if home.tracking_uri.startswith(("http://", "https://")):
        _point(home.tracking_uri.rstrip("/"), sweep, browser=browser, console=console)
        return 0
    port = _free_port(port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with home.server_log.open("wb") as log:
        server = subprocess.Popen(_command(home, port), stdout=log, stderr=log)
    try:
        base = f"http://{HOST}:{port}"
        with working(console, "starting MLflow"):
            _await(base, server, home.server_log)
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
    ledger = Ledger.open(home, clock=now_ms)
    try:
        if reference is not None:
            return ledger.sweeps.find(reference)
        return next(iter(ledger.sweeps.list()), None)
    finally:
        ledger.close()


def _point(base: str, sweep: Sweep | None, *, browser: bool, console: Console) -> None:
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


def _await(base: str, server: subprocess.Popen[bytes], log: Path) -> None:
    patience = time.monotonic() + READY_SECONDS
    while time.monotonic() < patience:
        if server.poll() is not None:
            said = log.read_text(errors="replace").strip().splitlines()
            raise TrackingError(f"MLflow's server ended at once: {said[-1] if said else 'no message'} (see {log})")
        try:
            with urllib.request.urlopen(f"{base}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TrackingError(f"MLflow's server was not ready within {READY_SECONDS:.0f} s (see {log})")
