"""A place for sweeps that tests kill, and a small disk that tests fill.

Only fixtures import Ray and MLflow, because pytest may load this file before their environment is made.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.databases import new_postgresql, postgresql

if TYPE_CHECKING:
    from tests.faults.programs import Place

__all__ = ["new_postgresql", "postgresql"]

SPEC = """\
name: killed
data: {source: photos, image_size: 32, split: {val: 0.2, confirm: 0.1, test: 0.2, seed: 0}}
search:
  algorithm: points
  points:
    - {backbone: timm/test_efficientnet, weights: random, freeze_depth: 0, batch_size: 4}
    - {backbone: timm/test_efficientnet, weights: random, freeze_depth: 0, batch_size: 4, dropout.rate: 0.3}
    - {backbone: timm/test_efficientnet, weights: random, freeze_depth: 3, batch_size: 4}
    - {backbone: timm/test_efficientnet, weights: random, freeze_depth: 3, batch_size: 4, augment.policy: flip}
budget: {epochs: 24}
scheduler: {type: none}
resources: {gpu: 0}
"""


@pytest.fixture(scope="session")
def sweep_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep file and its photos."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "photos").symlink_to(tiny_folder)
    (folder / "sweep.yaml").write_text(SPEC)
    return folder


@pytest.fixture(scope="session")
def whole(sweep_folder: Path, ray_once: None, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The place of the same sweep after a run without faults."""
    from search_spaces import load_spec
    from service.ledgers import SweepState
    from service.runs.runner import run_sweep
    from service.settings import Home
    from service.terminals import stderr
    from service.terminals.console_listener import ConsoleListener
    from tests.faults.programs import Place

    place = Place(sweep_folder, tmp_path_factory.mktemp("whole"))
    outcome = run_sweep(
        load_spec(sweep_folder / "sweep.yaml"), home=Home(place.home).create(), listener=ConsoleListener(stderr())
    )
    assert outcome.sweep.state is SweepState.COMPLETED
    return place


@pytest.fixture
def place(sweep_folder: Path, tmp_path: Path) -> Iterator[Place]:
    """A place with a home of its own; all its processes must have ended when the test ends."""
    from tests.faults.programs import Place

    place = Place(sweep_folder, tmp_path / "home")
    yield place
    try:
        place.await_end()
    finally:
        for process in place.processes():
            process.kill()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
