"""The examples of docs/client.md, run one after the other against a service."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest

from service.clocks import now_ms
from service.ledgers import Ledger, Role, Sweep, SweepState
from service.settings import Home
from tests.contracts.services import ApiServer, Driver, beat_drivers, signed_in
from tests.service.sweeps.sweeps import add_trials

PAGE = Path(__file__).parents[1] / "docs" / "client.md"


def run_and_pause(ledger: Ledger, sweep: Sweep) -> None:
    """Drive a sweep until it is paused: a reader has then seen everything, and the sweep can still be changed."""
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    add_trials(ledger, sweep, 0.5)
    ledger.sweeps.move(sweep.id, SweepState.PAUSING)
    ledger.sweeps.move(sweep.id, SweepState.PAUSED, error="for lunch")


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    home = Home(tmp_path / "home").create()
    Ledger.open(home, clock=now_ms).close()  # the server finds it made
    server = ApiServer(home)
    server.start()
    context = signed_in(home, server, "ada", Role.SUBMITTER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MELTPOINT_SERVICE", context.url)
    monkeypatch.setenv("MELTPOINT_TOKEN", context.token)
    names: dict[str, object] = {}
    with closing(Ledger.open(home, clock=now_ms)) as ledger, Driver(home, run=run_and_pause):
        beat_drivers(ledger)
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL):
            exec(block, names)
        names["client"].close()  # type: ignore[attr-defined]
    server.stop()
    printed = capsys.readouterr().out
    assert "paused: for lunch" in printed
    assert "1 of 4 trials" in printed
    assert printed.splitlines()[-1] == "submitter"
