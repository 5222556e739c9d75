"""Many clients list many sweeps at once: none gets an error, and nobody waits long."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import create_engine, insert

from search_spaces import Goal
from service.clocks import now_ms
from service.identities import issue_token
from service.ledgers import Ledger, Role, SweepState, tables
from service.settings import Home

Record = Callable[[str, object], None]

CLIENTS, UNDER_WAY = 20, 12
PATHS = ("/api/v1/sweeps", "/api/v1/sweeps?state=running")


@pytest.mark.experiment("23 lists", runs=2)
def test_many_clients_list_many_sweeps_without_an_error(
    tmp_path: Path, turn: int, thorough: bool, record_property: Record
) -> None:
    """Allow the short form more time, since other tests run beside it. The second long run has ten times the rows."""
    sweeps, trials, requests, most = (500, 100 * 10**turn, 50, 0.3) if thorough else (60, 20, 3, 3.0)
    home = Home(tmp_path / "home").create()
    token = _fill(home, sweeps, trials)
    with _serving(home) as url, ThreadPoolExecutor(CLIENTS) as threads:
        answers = threads.map(lambda _: _ask(url, token, requests), range(CLIENTS))
        seconds = [value for values in answers for value in values]
    assert len(seconds) == CLIENTS * requests
    p95 = statistics.quantiles(seconds, n=20)[-1]
    record_property("p95", p95)
    assert p95 < most


def _ask(url: str, token: str, requests: int) -> list[float]:
    """Return the seconds of each answer; none is an error."""
    seconds = []
    with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60.0) as client:
        for number in range(requests):
            began = time.perf_counter()
            answer = client.get(PATHS[number % len(PATHS)])
            seconds.append(time.perf_counter() - began)
            assert answer.status_code == 200, answer.text
    return seconds


@contextmanager
def _serving(home: Home) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.service.api.served_alone", str(home.root)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as server:
        assert server.stdout is not None
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            deadline = time.monotonic() + 60.0
            while not _answers(url):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield url
        finally:
            server.kill()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/api/v1/health", timeout=2.0).status_code == 200
    except httpx2.TransportError:
        return False


def _fill(home: Home, sweeps: int, trials: int) -> str:
    """Write sweeps of one user, of which the newest run, and their trials; return the user's token."""
    ledger = Ledger.open(home, clock=now_ms)
    ledger.users.create("ann", Role.SUBMITTER)
    for number in range(sweeps):
        sweep, _ = ledger.sweeps.submit(
            name=f"cells-{number}",
            spec_text="name: cells",
            spec_file="cells.yaml",
            metric="val/accuracy",
            goal=Goal.MAXIMIZE,
            seed=0,
            settings={},
            owner="ann",
        )
        ledger.sweeps.move(sweep.id, SweepState.QUEUED)
        ledger.sweeps.move(sweep.id, SweepState.RUNNING)
        if number < sweeps - UNDER_WAY:
            ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    ids = [sweep.id for sweep in ledger.sweeps.list()]
    token = issue_token(ledger, "ann", label="test", days=1, clock=now_ms)
    ledger.close()
    engine = create_engine(home.ledger_url)
    with engine.begin() as connection:
        for sweep_id in ids:
            connection.execute(insert(tables.trials), [_row(sweep_id, number, trials) for number in range(trials)])
    engine.dispose()
    return token


def _row(sweep_id: str, number: int, trials: int) -> dict[str, object]:
    return {
        "id": f"{sweep_id}-{number:04d}",
        "sweep_id": sweep_id,
        "number": number,
        "identity": str(number),
        "point": {},
        "recipe": {},
        "seed": 0,
        "created_at": 0,
        "state": "completed",
        "attempt": 1,
        "epochs": 3,
        "best_value": number / trials,
    }
