"""Signals: the first calls a function, the second raises, and only inside the block that allows it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from service.ledgers.transactions import Transactions
from service.runs.interrupts import Interrupts
from service.signal_shields import SHIELD


def test_the_first_signal_calls_and_the_second_breaks() -> None:
    called: list[str] = []
    with Interrupts(called.append) as interrupts, interrupts.breakable():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert called == ["SIGTERM"]


def test_a_signal_elsewhere_breaks_what_is_entered_next() -> None:
    with Interrupts(lambda _: None) as interrupts:
        signal.raise_signal(signal.SIGINT)
        with interrupts.breakable():
            pass
        signal.raise_signal(signal.SIGINT)
        entered = False
        with suppress(KeyboardInterrupt), interrupts.breakable():
            entered = True
        assert not entered
        with interrupts.breakable():
            entered = True
        assert entered


def test_where_nothing_can_end_in_order_the_first_signal_breaks() -> None:
    called: list[str] = []
    with Interrupts(called.append) as interrupts:
        interrupts.expect_second()
        with pytest.raises(KeyboardInterrupt), interrupts.breakable():
            signal.raise_signal(signal.SIGINT)
    assert called == []


def test_a_signal_in_a_transaction_breaks_after_its_end(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'rows.db'}")
    transactions = Transactions(engine, clock=lambda: 0)
    with transactions.writing() as connection:
        connection.execute(text("CREATE TABLE rows (id INTEGER)"))
    with Interrupts(lambda _: None) as interrupts:
        interrupts.expect_second()
        with pytest.raises(KeyboardInterrupt), interrupts.breakable():
            _write_a_row(transactions, meanwhile=lambda: signal.raise_signal(signal.SIGINT))
        with transactions.reading() as connection:
            assert connection.scalar(text("SELECT count(*) FROM rows")) == 1
    engine.dispose()


def _write_a_row(transactions: Transactions, meanwhile: Callable[[], object]) -> None:
    with transactions.writing() as connection:
        meanwhile()
        connection.execute(text("INSERT INTO rows VALUES (1)"))


def test_a_transaction_of_another_thread_keeps_no_signal_back() -> None:
    entered, may_leave = threading.Event(), threading.Event()

    def stay() -> None:
        with SHIELD:
            entered.set()
            may_leave.wait(20.0)

    thread = threading.Thread(target=stay)
    thread.start()
    entered.wait(20.0)
    with Interrupts(lambda _: None) as interrupts:
        interrupts.expect_second()
        with pytest.raises(KeyboardInterrupt), interrupts.breakable():
            signal.raise_signal(signal.SIGINT)
    may_leave.set()
    thread.join()


def test_the_handlers_before_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts(lambda _: None):
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
