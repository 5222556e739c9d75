"""The time in which a service lists sweeps to 20 clients at once.

    python benchmarks/listing.py [--sweeps N] [--trials N] [--clients N] [--requests N]

Fills a ledger with sweeps and trials, starts `meltpoint serve --role api` on it, and lets each client ask for pages of
50 sweeps, every other time of those that run, one request after the other. Clients are threads of this process, on the
same machine. A Markdown row goes to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import machines
from contenders import MELTPOINT
from sqlalchemy import create_engine, insert

from search_spaces import Goal
from service.clocks import now_ms
from service.ledgers import Ledger, SweepState, tables
from service.settings import Home

HERE = Path(__file__).parent
UNDER_WAY = 12
"""Sweeps under way, the default limit of a service; all others have completed."""

PATHS = ("/api/v1/sweeps", "/api/v1/sweeps?state=running")


def main() -> None:
    """Measure, and print a row."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="meltpoint-listing-") as folder:
        home = Home(Path(folder)).create()
        fill(home, options.sweeps, options.trials)
        print(f"{options.sweeps} sweeps with {options.trials} trials each", file=sys.stderr, flush=True)
        with _serving(home) as url:
            seconds, errors = ask(url, home.admin_token.read_text().strip(), options.clients, options.requests)
    cuts = statistics.quantiles(seconds, n=100)
    about = machines.describe()
    print(f"| {options.sweeps} x {options.trials} | {options.clients} | {len(seconds)} | {errors} ", end="")
    print(f"| {1000 * cuts[49]:.0f} ms | {1000 * cuts[94]:.0f} ms | {1000 * max(seconds):.0f} ms |")
    print(f"{about['date']}, {about['machine']}, {about['commit']}", file=sys.stderr)


def fill(home: Home, sweeps: int, trials: int) -> None:
    """Write the sweeps and their trials; the newest `UNDER_WAY` run."""
    ledger = Ledger.open(home, clock=now_ms)
    for number in range(sweeps):
        sweep, _ = ledger.sweeps.submit(
            name=f"cells-{number}",
            spec_text="name: cells",
            spec_file="cells.yaml",
            metric="val/accuracy",
            goal=Goal.MAXIMIZE,
            seed=0,
            settings={},
            owner="admin",
        )
        ledger.sweeps.move(sweep.id, SweepState.QUEUED)
        ledger.sweeps.move(sweep.id, SweepState.RUNNING)
        if number < sweeps - UNDER_WAY:
            ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    ids = [sweep.id for sweep in ledger.sweeps.list()]
    ledger.close()
    common = {"point": {}, "recipe": {}, "seed": 0, "created_at": 0, "state": "completed", "attempt": 1, "epochs": 3}
    engine = create_engine(home.ledger_url)
    with engine.begin() as connection:
        for sweep_id in ids:
            rows = [
                common
                | {"id": f"{sweep_id}-{number:04d}", "sweep_id": sweep_id, "number": number}
                | {"identity": str(number), "best_value": number / trials}
                for number in range(trials)
            ]
            connection.execute(insert(tables.trials), rows)
    engine.dispose()


def ask(url: str, token: str, clients: int, requests: int) -> tuple[list[float], int]:
    """Return the seconds of each answer, and the number of answers that were errors."""
    headers = {"Authorization": f"Bearer {token}"}

    def run(_client: int) -> tuple[list[float], int]:
        seconds, errors = [], 0
        with httpx2.Client(base_url=url, headers=headers, timeout=60.0) as client:
            for number in range(requests):
                began = time.perf_counter()
                answer = client.get(PATHS[number % len(PATHS)])
                seconds.append(time.perf_counter() - began)
                errors += answer.status_code != 200
        return seconds, errors

    with ThreadPoolExecutor(clients) as threads:
        results = list(threads.map(run, range(clients)))
    return [value for seconds, _ in results for value in seconds], sum(errors for _, errors in results)


@contextmanager
def _serving(home: Home) -> Iterator[str]:
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "MELTPOINT_HOME": str(home.root)}
    command = [*MELTPOINT, "serve", "--role", "api", "--port", "0"]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120.0
        address = home.root / "service.json"
        while not address.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the service did not come up")
            time.sleep(0.2)
        url = str(json.loads(address.read_text())["url"])
        while time.monotonic() < deadline and not _mlflow_is_up(url, home):
            time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        server.wait(60.0)


def _mlflow_is_up(url: str, home: Home) -> bool:
    """Return whether MLflow's server behind the door answers, so that its start takes no time from the API."""
    token = home.admin_token.read_text().strip()
    request = urllib.request.Request(f"{url}/mlflow/", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5.0) as answer:
            return int(answer.status) == 200
    except OSError:
        return False


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time lists of sweeps for several clients at once.")
    parser.add_argument("--sweeps", type=int, default=500)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--requests", type=int, default=50, help="requests of each client")
    return parser.parse_args()


if __name__ == "__main__":
    main()
