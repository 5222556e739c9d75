"""Signals: the first calls a function, the second raises, and only inside the block that allows it."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from service.runs.interrupts import Interrupts


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


def test_the_handlers_before_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts(lambda _: None):
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
