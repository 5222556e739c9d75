"""An API on a ledger with users of every role, and a process that seems to drive sweeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.api.services import RunningApi, start_api


@pytest.fixture(scope="module")
def module_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """An API that the tests of a module share."""
    with start_api(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RunningApi]:
    """An API of the test's own."""
    with start_api(tmp_path) as running:
        yield running
