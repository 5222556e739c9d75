"""A home with a ledger, in which tests put sweeps into any state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.ledgers import Ledger
from service.settings import Home
from tests.contracts.ledgers import Ticks


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path).create()


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    ledger = Ledger.open(home, clock=Ticks())
    yield ledger
    ledger.close()
