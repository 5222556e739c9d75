"""The API of a service, killed again and again under submissions, keeps every sweep that it has acknowledged."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from service import Client
from service.errors import ServiceError, UnavailableError
from service.ledgers import SweepAction, SweepState
from tests.running_services import Drivers, sweep_text, until
from tests.service.commands.services import RunningService, serving

Record = Callable[[str, object], None]

READY_SECONDS = 10.0
NO_MLFLOW = "http://127.0.0.1:9"
"""An address at which nothing listens: the API then starts no server of MLflow, which the experiment does not need."""


@pytest.mark.experiment("1 API")
def test_the_api_killed_under_submission_keeps_every_acknowledged_sweep(
    drivers_once: Drivers,
    turn: int,
    thorough: bool,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NO_MLFLOW)
    moments = random.Random(os.urandom(8))
    rounds, recoveries = 20 if thorough else 2, list[float]()
    port, acknowledged = _free_port(), dict[str, str]()
    api = _Api(drivers_once.home.root, port)
    with ExitStack() as stack:
        stack.callback(api.kill)
        api.start()
        token = drivers_once.home.admin_token.read_text().strip()
        submitting = stack.enter_context(_submitting(drivers_once.folder, api.url, token, acknowledged))
        for _ in range(rounds):
            time.sleep(moments.uniform(0.0, 1.0))
            api.kill()
            began = time.monotonic()
            api.start()
            until(lambda: _is_ready(api.url), "the API was not ready", READY_SECONDS)
            recoveries.append(time.monotonic() - began)
            _await_another(acknowledged)
        submitting.set()
    with drivers_once.ledger() as ledger:
        by_key = {sweep.idempotency_key: sweep.id for sweep in ledger.sweeps.list() if sweep.idempotency_key}
    assert {key: by_key.get(key) for key in acknowledged} == acknowledged
    assert len(set(acknowledged.values())) == len(acknowledged) >= rounds
    record_property("recovery", max(recoveries))
    record_property("kills", rounds)
    if thorough:
        drivers_once.await_completed(acknowledged.values(), seconds=600.0)
        assert {drivers_once.check_rows(sweep_id) for sweep_id in acknowledged.values()} == {(0, 0)}
    else:
        _end(drivers_once, list(acknowledged.values()))


def _await_another(acknowledged: dict[str, str]) -> None:
    before = len(acknowledged)
    until(lambda: len(acknowledged) > before, "nothing is acknowledged any more", 60.0)


class _Api:
    """`meltpoint serve --role api` at a port that stays the same over restarts."""

    def __init__(self, home: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._home, self._port = home, port
        self._stack = ExitStack()
        self._service: RunningService | None = None

    def start(self) -> None:
        """Start it, and wait until it prints that it serves."""
        self._service = self._stack.enter_context(serving(self._home, "--role", "api", "--port", str(self._port)))

    def kill(self) -> None:
        """Kill it with -9."""
        self._stack.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/api/v1/ready", timeout=1.0).status_code == 200
    except httpx2.TransportError:
        return False


@contextmanager
def _submitting(folder: Path, url: str, token: str, acknowledged: dict[str, str]) -> Iterator[threading.Event]:
    """Submit one sweep after another while entered; the key of each that was acknowledged gets its id."""
    done = threading.Event()
    prefix = os.urandom(4).hex()

    def submit() -> None:
        with Client(url=url, token=token) as client:
            while not done.wait(0.1):
                key = f"{prefix}-{len(acknowledged)}"
                try:
                    acknowledged[key] = client.submit(path, key=key).id
                except (UnavailableError, ServiceError):
                    continue  # the same key again

    path = folder / f"{prefix}.yaml"
    path.write_text(sweep_text(trials=1, epochs=1))
    thread = threading.Thread(target=submit, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        done.set()
        thread.join(60.0)


def _end(drivers: Drivers, sweep_ids: list[str]) -> None:
    """Cancel those that have not ended, and wait until every driver has ended."""
    for sweep_id in sweep_ids:
        if not drivers.sweep(sweep_id).state.is_finished:
            drivers.ask(sweep_id, SweepAction.CANCEL)
    ends = (SweepState.CANCELLED, SweepState.COMPLETED)
    for sweep_id in sweep_ids:
        drivers.await_state(sweep_id, *ends)
    until(lambda: all(drivers.driver_of(sweep_id) is None for sweep_id in sweep_ids), "a driver did not end")
