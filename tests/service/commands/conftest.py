"""A home of its own, and its ledger, for commands that run as processes of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.clocks import now_ms
from service.ledgers import Ledger
from service.settings import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home; the environment names no other, and no MLflow."""
    for name in [name for name in os.environ if name.startswith(("MELTPOINT_", "MLFLOW_TRACKING"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("NO_COLOR", "1")
    return Home(tmp_path / "home").create()


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    """The ledger of the home."""
    with closing(Ledger.open(home, clock=now_ms)) as ledger:
        yield ledger
