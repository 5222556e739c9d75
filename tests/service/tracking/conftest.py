"""A home and its ledger for the tests of a module, and a real PostgreSQL for MLflow's server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.ledgers import Ledger
from service.settings import Home
from tests.databases import new_postgresql, postgresql

__all__ = ["new_postgresql", "postgresql"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """An empty home."""
    return Home(tmp_path_factory.mktemp("home")).create()


@pytest.fixture(scope="module")
def ledger(place: Home) -> Iterator[Ledger]:
    """The ledger of `place`, whose clock rises with each look."""
    from tests.tracked_sweeps import Clock  # imports MLflow, whose environment is not made when this file is loaded

    ledger = Ledger.open(place, clock=Clock())
    yield ledger
    ledger.close()
