"""Fixtures of all tests: a home, a Ray, and a finished sweep, each once a session."""

from __future__ import annotations

import enum
import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from search_spaces import load_spec
from service.settings import Home, prepare_environment
from service.terminals import stderr
from service.terminals.console_listener import ConsoleListener
from tests.digit_photos import write_digits

if TYPE_CHECKING:
    from service.runs.runner import Outcome
    from tests.running_services import Drivers

DIGITS = ("zero", "one", "two")
DIGITS_PER_CLASS = 40

SWEEP = """\
name: tiny-digits
data: {source: photos, image_size: 32, split: {val: 0.2, confirm: 0.1, test: 0.2, seed: 0}}
space:
  backbone: timm/test_efficientnet
  weights: random
  batch_size: 16
  freeze_depth: {values: [0, 3], default: 3}
  dropout.rate: {min: 0.0, max: 0.5}
  optimizer:
    one_of:
      - {name: adamw, lr: {min: 1.0e-4, max: 1.0e-2, log: true}}
      - {name: adamw, lr: 100.0, weight_decay: 1.0}
search: {algorithm: random, seed: 5}
scheduler: {type: asha}
budget: {trials: 7, epochs: 2}
resources: {gpu: 0}
register: {model: tiny, top_k: 2}
"""


HOME = pytest.StashKey[Home]()


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the environment before test modules import Ray and MLflow, which read it at their import.

    A shell that starts pytest in the background may have SIGINT ignored, which every process would inherit: Ctrl-C,
    which tests send to commands, would then do nothing.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    home = Home(Path(tempfile.mkdtemp(prefix="meltpoint-"))).create()
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ.pop("RAY_ADDRESS", None)
    os.environ["MELTPOINT_HOME"] = str(home.root)
    prepare_environment(home)
    config.stash[HOME] = home
    settings.register_profile("busy machine", deadline=None)
    settings.load_profile("busy machine")


class _OneRay(LoadFileScheduling):
    """A scheduler for pytest-xdist that runs the files that share a Ray in one process: processes cannot share it.

    A file whose tests start a Ray of their own goes to any process.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        group = _group(self.config.rootpath / file)
        return group.name if group in (_Group.SERVICE, _Group.RAY) else file


class _Group(enum.IntEnum):
    """Groups of files in the order in which they run: what a session shares comes last, since it idles from then on."""

    OWN_RAY = 0
    """Tests that start a Ray."""
    LIGHT = 1
    SERVICE = 2
    """Tests of the session's service."""
    RAY = 3
    """Tests on the session's Ray. They take about as long as those of the service, beside which they run."""


@cache
def _group(file: Path) -> _Group:
    text = file.read_text()
    if re.search(r"\bdrivers_once\b", text):
        return _Group.SERVICE
    if re.search(r"\b(ray_once|finished_sweep|whole: Place)\b", text):
        return _Group.RAY
    return _Group.OWN_RAY if "mark.ray" in text else _Group.LIGHT


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _OneRay:
    return _OneRay(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[HOME].root, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out files that start Ray, and tests marked slow")
    parser.addoption("--thorough", action="store_true", help="repeat experiments with faults as often as the docs say")
    parser.addoption("--experiments", type=Path, metavar="FILE", help="write the results of the experiments as JSON")


@pytest.fixture
def thorough(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--thorough"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run an experiment once; with --thorough as often as its mark says."""
    mark = metafunc.definition.get_closest_marker("experiment")
    if mark is not None and "turn" in metafunc.fixturenames:
        runs = mark.kwargs.get("runs", 1) if metafunc.config.getoption("--thorough") else 1
        metafunc.parametrize("turn", range(runs))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need --thorough, and with --quick slow ones and those with Ray; sort by group."""
    quick, thorough = config.getoption("--quick"), config.getoption("--thorough")
    left_out = [
        item
        for item in items
        if (not thorough and item.get_closest_marker("thorough"))
        or (quick and (_group(item.path) is not _Group.LIGHT or item.get_closest_marker("slow")))
    ]
    config.hook.pytest_deselected(items=left_out)
    dropped = set(left_out)
    items[:] = sorted((item for item in items if item not in dropped), key=lambda item: _group(item.path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    mark = item.get_closest_marker("experiment")
    if mark is not None and report.when == "call":
        report.user_properties.append(("experiments", mark.args))
        report.user_properties.append(("examples", mark.kwargs.get("examples", 1)))
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    file = config.getoption("--experiments")
    if file is None:
        return
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    rows = [dict(report.user_properties) | {"test": report.nodeid, "passed": report.passed} for report in reports]
    file.write_text(json.dumps([row for row in rows if "experiments" in row], indent=1))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Let torch use one thread: several threads for such small tensors only wait for each other."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _ready_ledgers() -> Iterator[None]:
    from tests.ready_ledgers import ready_ledgers

    with ready_ledgers():
        yield


@pytest.fixture(scope="session")
def home(pytestconfig: pytest.Config) -> Home:
    """The session's home, empty at the start."""
    return pytestconfig.stash[HOME]


@pytest.fixture(scope="session")
def ray_once(home: Home) -> Iterator[None]:
    """A Ray and a fork server for the whole session; sweeps use them and leave them running."""
    from service.clusters.connections import connect, forking

    with forking(), connect():
        yield


@pytest.fixture(scope="session")
def drivers_once(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drivers]:
    """The drivers of a service for the whole session, warm; sweep files lie beside `photos`."""
    from tests.running_services import Drivers, sweep_text

    folder = tmp_path_factory.mktemp("service")
    (folder / "photos").symlink_to(tiny_folder)
    drivers = Drivers(Home(folder / "home"), folder)
    drivers.start()
    try:
        drivers.await_ready()
        drivers.await_completed([drivers.submit(sweep_text(trials=2, epochs=1))])
        yield drivers
    finally:
        drivers.close()


@pytest.fixture
def tracks_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `mlflow` read the session's home."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", home.tracking_uri)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 120 digits of three classes, PNG files of 32 px. Tests read it and never write to it."""
    root = tmp_path_factory.mktemp("tiny") / "photos"
    write_digits(root, DIGITS, DIGITS_PER_CLASS)
    return root


@pytest.fixture(scope="session")
def finished_sweep(
    home: Home,
    ray_once: None,
    tiny_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Outcome:
    """A real sweep of seven drawn recipes, some of which diverge, over a folder beside its file."""
    from service.runs.runner import run_sweep

    folder = tmp_path_factory.mktemp("sweep")
    shutil.copytree(tiny_folder, folder / "photos")
    (folder / "tiny.yaml").write_text(SWEEP)
    return run_sweep(load_spec(folder / "tiny.yaml"), home=home, listener=ConsoleListener(stderr()))
