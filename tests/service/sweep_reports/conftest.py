"""A ledger with a clock that tests move."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.ledgers import Ledger
from tests.ready_ledgers import ready_ledgers
from tests.service.sweep_reports.made_sweeps import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    with ready_ledgers():
        ledger = Ledger.open_file(tmp_path / "ledger.db", clock=clock)
        yield ledger
        ledger.close()
