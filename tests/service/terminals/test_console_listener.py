"""The console listener: lines for a log, without control codes that only a terminal can show."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from service.runs import Listener, Phase, SilentListener, SweepStart, in_phase
from service.terminals.console_listener import ConsoleListener

START = SweepStart(sweep_id="s-1", name="cells", trials=1, epochs=3, slots=2, device="cpu")


def played(listener: Listener) -> None:
    """Call the listener with the events of a short sweep."""
    with in_phase(listener, Phase.STARTING_RAY):
        pass
    with in_phase(listener, Phase.DECODING_IMAGES):
        listener.phase_advanced(Phase.DECODING_IMAGES, 1, 2)
    listener.image_skipped("[odd].png", "is empty")
    listener.sweep_started(START)
    listener.notice("[s-1] is tried again")
    listener.signal_received("SIGINT")


def test_a_log_has_a_line_for_each_event_and_none_for_phases() -> None:
    out = io.StringIO()
    played(ConsoleListener(Console(file=out, width=40)))
    assert out.getvalue().splitlines() == [
        "skipped [odd].png: is empty",
        "sweep s-1 (cells): 1 trial of up to 3 epochs, 2 at once on cpu",
        "[s-1] is tried again",
        "SIGINT: running trials end at their next report; a second signal ends them at once",
    ]


def test_a_terminal_shows_phases_and_removes_them() -> None:
    out = io.StringIO()
    played(ConsoleListener(Console(file=out, width=100, force_terminal=True)))
    assert "starting Ray" in out.getvalue()
    assert "decoding images" in out.getvalue()


def test_a_phase_that_raises_has_ended() -> None:
    ended: list[Phase] = []

    class Recorder(SilentListener):
        def phase_ended(self, phase: Phase) -> None:
            ended.append(phase)

    with pytest.raises(ValueError, match="wrong"), in_phase(Recorder(), Phase.TESTING):
        raise ValueError("wrong")
    assert ended == [Phase.TESTING]


def test_a_silent_listener_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    played(SilentListener())
    assert capfd.readouterr() == ("", "")
