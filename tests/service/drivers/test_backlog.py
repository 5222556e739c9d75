"""Messages of ended sweeps are sent without a next sweep, once no driver is at work on them and MLflow is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.clocks import now_ms
from service.drivers.backlog import LONGEST_PAUSE_SECONDS, LOOK_SECONDS, Backlog
from service.ledgers import Ledger, MessageKind, Sweep, SweepState
from service.runs.leases import driving
from service.settings import Home
from tests.service.sweeps.sweeps import add_sweep


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").create()


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    with closing(Ledger.open(home, clock=now_ms)) as ledger:
        yield ledger


@pytest.fixture
def ended(ledger: Ledger) -> Sweep:
    """A sweep that has ended, with messages that MLflow has not taken."""
    sweep = add_sweep(ledger, SweepState.COMPLETED)
    ledger.outbox.put(sweep.id, MessageKind.EPOCHS, {"first": 1, "last": 1})
    return sweep


def look(home: Home, looks: int, send: Callable[[], None]) -> list[float]:
    """Look so many times; return the pauses before each look, and the one after the last."""
    pauses: list[float] = []

    def wait(_closed: threading.Event, seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) > looks

    Backlog(home, send, wait=wait).look_until_closed()
    return pauses


def send_all(ledger: Ledger) -> None:
    for sweep_id in ledger.outbox.sweeps_with_unsent():
        ledger.outbox.mark_sent(*(message.id for message in ledger.outbox.unsent(sweep_id)))


def test_what_waits_is_sent_at_the_second_look_and_once(home: Home, ledger: Ledger, ended: Sweep) -> None:
    sent: list[int] = []

    def send() -> None:
        sent.append(ledger.outbox.count_unsent(ended.id))
        send_all(ledger)

    assert look(home, 1, send) == [LOOK_SECONDS] * 2
    assert sent == []
    look(home, 5, send)
    assert len(sent) == 1
    assert sent[0] > 0


def test_a_sweep_whose_driver_is_at_work_is_left_to_it(home: Home, ledger: Ledger, ended: Sweep) -> None:
    running = add_sweep(ledger, SweepState.RUNNING)
    assert ledger.outbox.count_unsent(running.id)
    sent: list[None] = []
    with driving(home, ledger, ended.id):
        look(home, 3, lambda: sent.append(None))
    assert sent == []


def test_what_is_never_taken_is_tried_less_and_less_often(home: Home, ended: Sweep) -> None:
    sent: list[None] = []
    pauses = look(home, 12, lambda: sent.append(None))
    assert pauses[:5] == [LOOK_SECONDS, LOOK_SECONDS, 2 * LOOK_SECONDS, 4 * LOOK_SECONDS, 8 * LOOK_SECONDS]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    assert len(sent) == 11


def test_nothing_is_tried_while_mlflows_server_is_away(
    home: Home, ended: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    sent: list[None] = []
    assert look(home, 4, lambda: sent.append(None)) == [LOOK_SECONDS] * 5
    assert sent == []


def test_an_error_ends_no_look(home: Home, ended: Sweep) -> None:
    tries: list[None] = []

    def send() -> None:
        tries.append(None)
        raise OSError("the fork server is away")

    look(home, 4, send)
    assert len(tries) == 3
