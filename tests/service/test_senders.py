"""The outbox reaches MLflow in order and whole, whatever the network does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.ledgers import Ledger
from service.records import Message, Sweep
from service.senders import Sender


class Network:
    """MLflow at the other end of a line that breaks: the first `failures` deliveries of each message are lost."""

    def __init__(self, failures: int) -> None:
        self.taken: list[int] = []
        self._failures = failures
        self._tries: dict[int, int] = {}

    def deliver(self, message: Message) -> None:
        tries = self._tries.get(message.id, 0)
        self._tries[message.id] = tries + 1
        if tries < self._failures:
            raise ConnectionError("connection refused")
        self.taken.append(message.payload["n"])


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.at(tmp_path / "ledger.db", clock=lambda: 0)
    yield ledger
    ledger.close()


@pytest.fixture
def sweep(ledger: Ledger) -> Sweep:
    return ledger.create_sweep(
        name="x", spec_text="", spec_file="", metric="val/loss", goal="minimize", seed=0, data={}, plan={}
    )


def test_every_message_arrives_once_and_in_order(ledger: Ledger, sweep: Sweep) -> None:
    network = Network(failures=0)
    for n in range(250):
        ledger.tell(sweep.id, "epochs", {"n": n})
    sender = Sender(ledger, sweep.id, lambda: network).start()
    assert sender.finish(patience=30) == 0
    assert network.taken == list(range(250))
    assert ledger.waiting(sweep_id=sweep.id) == []


def test_a_broken_line_delays_and_loses_nothing(ledger: Ledger, sweep: Sweep) -> None:
    network = Network(failures=1)
    for n in range(2):
        ledger.tell(sweep.id, "epochs", {"n": n})
    sender = Sender(ledger, sweep.id, lambda: network).start()
    assert sender.finish(patience=30) == 0
    assert network.taken == [0, 1]


def test_what_could_not_be_sent_is_kept_and_the_reason_is_known(ledger: Ledger, sweep: Sweep) -> None:
    ledger.tell(sweep.id, "epochs", {"n": 0})
    sender = Sender(ledger, sweep.id, lambda: Network(failures=1000)).start()
    assert sender.finish(patience=0.5) == 1
    assert sender.last_error == "ConnectionError: connection refused"
    assert ledger.waiting(sweep_id=sweep.id)[0].tries >= 1


def test_messages_of_other_sweeps_are_left_alone(ledger: Ledger, sweep: Sweep) -> None:
    other = ledger.create_sweep(
        name="y", spec_text="", spec_file="", metric="val/loss", goal="minimize", seed=0, data={}, plan={}
    )
    ledger.tell(other.id, "epochs", {"n": 1})
    assert Sender(ledger, sweep.id, lambda: Network(failures=0)).start().finish(patience=30) == 0
    assert len(ledger.waiting()) == 1
