"""Own backbones whose stages a driver counts: in a process of their own, and not for ever."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.drivers import driver_process
from service.drivers.driver_process import DriverProcess
from service.settings import Home
from tests.own_modules import write_module
from trainables.processes import ForkServer


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with closing(ForkServer(preload="trainables.architectures")) as server:
        yield server


@pytest.fixture
def driver(server: ForkServer, tmp_path: Path) -> DriverProcess:
    return DriverProcess(Home(tmp_path / "home"), pool="", fork_server=server.address)


def test_stages_are_counted_and_the_module_is_not_imported_here(driver: DriverProcess, tmp_path: Path) -> None:
    module = write_module(tmp_path, "def net(): return [nn.Conv2d(3, 4, 3), nn.ReLU()]")
    assert driver.count_stages(f"{module}:net", tmp_path) == 2
    assert module not in sys.modules


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('no licence')", "no licence"),
        ("def other(): pass", "net"),
        ("import os\ndef net(): os._exit(3)", "its stages cannot be counted: the counter's process died"),
    ],
    ids=["error", "no function", "death"],
)
def test_a_module_that_fails_is_refused_with_its_reason(
    driver: DriverProcess, tmp_path: Path, code: str, reason: str
) -> None:
    module = write_module(tmp_path, code)
    with pytest.raises(ValueError, match=reason):
        driver.count_stages(f"{module}:net", tmp_path)


def test_a_module_that_never_ends_is_given_up(
    driver: DriverProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_process, "COUNT_SECONDS", 0.5)
    module = write_module(tmp_path, "import time\ntime.sleep(600)\ndef net(): pass")
    with pytest.raises(ValueError, match="its stages cannot be counted: the counter's process hung"):
        driver.count_stages(f"{module}:net", tmp_path)
