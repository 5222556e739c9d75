"""Delivery of the outbox to MLflow: complete and in order, over every kind of network fault."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from search_spaces import Goal
from service.ledgers import Ledger, Message, MessageKind, Sweep, SweepState
from service.runs.mlflow_helper import _LowPriority
from service.tracking import Sender, senders
from tests.faults.programs import until


class Network:
    """MLflow behind a faulty network: the first `failures` deliveries of each message are lost."""

    def __init__(self, failures: int) -> None:
        self.taken: list[int] = []
        self._failures = failures
        self._tries: dict[int, int] = {}

    def deliver(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._take(message)

    def _take(self, message: Message) -> None:
        tries = self._tries.get(message.id, 0)
        self._tries[message.id] = tries + 1
        if tries < self._failures:
            raise ConnectionError("connection refused")
        self.taken.append(message.payload["n"])


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open_file(tmp_path / "ledger.db", clock=lambda: 0)
    yield ledger
    ledger.close()


def new_sweep(ledger: Ledger) -> Sweep:
    return ledger.sweeps.create(
        name="x", spec_text="", spec_file="", metric="val/loss", goal=Goal.MINIMIZE, seed=0, data={}, settings={}
    )


@pytest.fixture
def sweep(ledger: Ledger) -> Sweep:
    return new_sweep(ledger)


def test_every_message_arrives_once_and_in_order(ledger: Ledger, sweep: Sweep, tmp_path: Path) -> None:
    network = Network(failures=0)
    for n in range(250):
        ledger.outbox.put(sweep.id, MessageKind.EPOCHS, {"n": n})
    sender = Sender(ledger, sweep.id, lambda: network, backlog_lock=tmp_path / "lock").start()
    assert sender.finish(patience=30) == 0
    assert network.taken == list(range(250))
    assert ledger.outbox.unsent(sweep.id) == []


def test_a_broken_line_delays_and_loses_nothing(ledger: Ledger, sweep: Sweep, tmp_path: Path) -> None:
    network = Network(failures=1)
    for n in range(2):
        ledger.outbox.put(sweep.id, MessageKind.EPOCHS, {"n": n})
    sender = Sender(ledger, sweep.id, lambda: network, backlog_lock=tmp_path / "lock").start()
    assert sender.finish(patience=30) == 0
    assert network.taken == [0, 1]


def test_what_could_not_be_sent_is_kept_and_the_reason_is_known(ledger: Ledger, sweep: Sweep, tmp_path: Path) -> None:
    ledger.outbox.put(sweep.id, MessageKind.EPOCHS, {"n": 0})
    sender = Sender(ledger, sweep.id, lambda: Network(failures=1000), backlog_lock=tmp_path / "lock").start()
    assert sender.finish(patience=0.5) == 1
    assert sender.last_error == "ConnectionError: connection refused"
    assert ledger.outbox.unsent(sweep.id)[0].tries >= 1


def test_a_message_that_is_never_taken_holds_up_its_own_trial_alone(
    ledger: Ledger, sweep: Sweep, tmp_path: Path
) -> None:
    class Poisoned(Network):
        def deliver(self, messages: Sequence[Message]) -> None:
            if messages[0].payload["n"] == 0:
                raise ValueError("this one is never taken")
            super().deliver(messages)

    network = Poisoned(failures=0)
    for n, trial in enumerate(["t-0", "t-0", "t-1", None]):
        ledger.outbox.put(sweep.id, MessageKind.EPOCHS, {"n": n}, trial_id=trial)
    sender = Sender(ledger, sweep.id, lambda: network, backlog_lock=tmp_path / "lock").start()
    assert sender.finish(patience=2) == 2
    assert network.taken == [2, 3]


def test_a_sweep_that_is_deleted_while_it_is_sent_ends_the_sending_without_a_trace(
    ledger: Ledger, sweep: Sweep, tmp_path: Path
) -> None:
    """Delete the sweep in the middle of a delivery, then let MLflow refuse it."""
    other = new_sweep(ledger)
    ledger.outbox.put(other.id, MessageKind.EPOCHS, {"n": 1})
    for trial in ("t-0", "t-1"):
        ledger.outbox.put(sweep.id, MessageKind.EPOCHS, {"n": 0}, trial_id=trial)
    ledger.sweeps.move(sweep.id, SweepState.FAILED)

    class Deleting(Network):
        def deliver(self, messages: Sequence[Message]) -> None:  # noqa: ARG002
            ledger.sweeps.delete(sweep.id)
            ledger.sweeps.get(sweep.id)

    sender = Sender(ledger, sweep.id, lambda: Deleting(failures=0), backlog_lock=tmp_path / "lock").start()
    assert sender.finish(patience=30) == 0
    assert ledger.outbox.unsent(sweep.id) == []
    assert ledger.outbox.count_unsent(other.id) == 1, "other sweeps keep their messages"


def test_what_an_ended_sweep_left_behind_is_sent_first(ledger: Ledger, sweep: Sweep, tmp_path: Path) -> None:
    other = new_sweep(ledger)
    ledger.sweeps.move(other.id, SweepState.FAILED)
    for message in ledger.outbox.unsent(other.id):
        ledger.outbox.mark_sent(message.id)
    ledger.outbox.put(other.id, MessageKind.EPOCHS, {"n": 0})
    ledger.outbox.put(sweep.id, MessageKind.EPOCHS, {"n": 1})
    network = Network(failures=0)
    assert Sender(ledger, sweep.id, lambda: network, backlog_lock=tmp_path / "lock").start().finish(patience=30) == 0
    assert network.taken == [0, 1]


def test_messages_of_sweeps_under_way_are_left_to_their_own_drivers(
    ledger: Ledger, sweep: Sweep, tmp_path: Path
) -> None:
    other = new_sweep(ledger)
    ledger.outbox.put(other.id, MessageKind.EPOCHS, {"n": 1})
    network = Network(failures=0)
    assert Sender(ledger, sweep.id, lambda: network, backlog_lock=tmp_path / "lock").start().finish(patience=30) == 0
    assert network.taken == []
    assert ledger.outbox.count_unsent(other.id) == 1


def test_what_waits_of_a_trial_is_delivered_at_once_and_a_trial_that_is_not_taken_delays_no_other(
    ledger: Ledger, sweep: Sweep, tmp_path: Path
) -> None:
    deliveries: list[list[int]] = []

    class Poisoned(Network):
        def deliver(self, messages: Sequence[Message]) -> None:
            deliveries.append([message.payload["n"] for message in messages])
            if any(message.trial_id == "t-4" for message in messages):
                raise ValueError("this one is never taken")
            super().deliver(messages)

    network = Poisoned(failures=0)
    for n, trial in enumerate(["t-0", "t-1", None, "t-2", "t-3", "t-2", "t-4", "t-5", None]):
        ledger.outbox.put(sweep.id, MessageKind.TRIAL_FINISHED, {"n": n}, trial_id=trial)
    sender = Sender(ledger, sweep.id, lambda: network, backlog_lock=tmp_path / "lock").start()
    assert sender.finish(patience=0.2) == 1
    assert deliveries[:8] == [[0], [1], [2], [3, 5], [4], [6], [7], [8]]
    assert sorted(network.taken) == [0, 1, 2, 3, 4, 5, 7, 8]


def test_a_short_trial_is_told_of_once_it_has_ended_and_a_long_one_soon(
    ledger: Ledger, sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliveries: list[list[str]] = []

    class Watched:
        def deliver(self, messages: Sequence[Message]) -> None:
            deliveries.append([f"{message.trial_id} {message.kind}" for message in messages])

    def tell(trial: str, *kinds: MessageKind) -> None:
        for kind in kinds:
            ledger.outbox.put(sweep.id, kind, {}, trial_id=trial)

    monkeypatch.setattr(senders, "GATHER_SECONDS", 1000.0)
    tell("short", MessageKind.TRIAL_STARTED, MessageKind.EPOCHS)
    tell("long", MessageKind.TRIAL_STARTED)
    tell("other", MessageKind.TRIAL_STARTED, MessageKind.TRIAL_FINISHED)
    sender = Sender(ledger, sweep.id, Watched, backlog_lock=tmp_path / "lock").start()
    until(lambda: deliveries == [["other trial_started", "other trial_finished"]], "the ended trial was not told of")
    tell("short", MessageKind.TRIAL_FINISHED)
    until(
        lambda: deliveries[1:] == [["short trial_started", "short epochs", "short trial_finished"]],
        "not told of together",
    )
    monkeypatch.setattr(senders, "GATHER_SECONDS", 0.1)
    until(lambda: deliveries[2:] == [["long trial_started"]], "a trial under way was never told of")
    assert sender.finish(patience=30) == 0
    assert len(deliveries) == 3


def test_a_sender_beside_trials_takes_the_last_place_once_mlflow_knows_of_the_sweep() -> None:
    """Run in a thread, because a thread has its own niceness on Linux."""
    taken: list[int] = []

    class Watched:
        def deliver(self, _messages: Sequence[Message]) -> None:
            taken.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def message(sweep_id: str, kind: MessageKind) -> Message:
        return Message(id=1, sweep_id=sweep_id, trial_id=None, kind=kind, payload={}, created_at=0, tries=0)

    def send() -> None:
        behind = _LowPriority(Watched(), "ours")
        for sweep_id, kind in (
            ("left behind", MessageKind.SWEEP_RUNNING),
            ("ours", MessageKind.SWEEP_RUNNING),
            ("ours", MessageKind.TRIAL_STARTED),
            ("ours", MessageKind.SWEEP_RUNNING),
            ("ours", MessageKind.TRIAL_STARTED),
        ):
            behind.deliver([message(sweep_id, kind)])

    thread = threading.Thread(target=send)
    thread.start()
    thread.join()
    before, last = taken[0], 19
    assert taken == [before, before, last, last, last]


def test_two_senders_of_one_sweep_deliver_one_after_another(ledger: Ledger, sweep: Sweep, tmp_path: Path) -> None:
    """Start a second sender while the first one delivers, as after a quick pause and resume."""
    taken: list[int] = []
    is_delivering, may_go_on = threading.Event(), threading.Event()

    class Slow:
        def deliver(self, messages: Sequence[Message]) -> None:
            is_delivering.set()
            assert may_go_on.wait(30)
            taken.extend(message.payload["n"] for message in messages)

    for n in range(3):
        ledger.outbox.put(sweep.id, MessageKind.EPOCHS, {"n": n})
    first = Sender(ledger, sweep.id, Slow, backlog_lock=tmp_path / "lock").start()
    assert is_delivering.wait(30)
    second = Sender(ledger, sweep.id, Slow, backlog_lock=tmp_path / "lock").start()
    time.sleep(0.2)
    may_go_on.set()
    assert (first.finish(patience=30), second.finish(patience=30)) == (0, 0)
    assert sorted(taken) == [0, 1, 2]
