"""Environments that a machine, a container or a cluster gives to a process: doctor and a tiny sweep end well in each.

Well is success, or one sentence with the way out: never a traceback, never a defect of Meltpoint.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.ray]

MELTPOINT = str(Path(sys.executable).with_name("meltpoint"))
NO_USER = 54321
"""A uid without an entry in the list of users."""

DROPPED = [
    "setpriv",
    f"--reuid={NO_USER}",
    f"--regid={NO_USER}",
    "--clear-groups",
    "--inh-caps=+dac_override,+dac_read_search",
    "--ambient-caps=+dac_override,+dac_read_search",
]
"""Begins a command as that user, who may read the tests' files; only root may do so."""

SMALL_MEMORY = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=8m none /dev/shm && exec "$@"', "sh"]
"""Begins a command with a /dev/shm of 8 MiB; only root may do so."""

PROXY = "http://127.0.0.1:9"

SPEC = """\
name: tiny
data: {source: photos, image_size: 32, split: {val: 0.2, confirm: 0.1, test: 0.2, seed: 0}}
search: {algorithm: points, points: [{backbone: timm/test_efficientnet, weights: random, batch_size: 16}]}
budget: {epochs: 1}
resources: {gpu: 0}
"""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Variables that differ (None: not set), and the words that begin every command."""

    variables: dict[str, str | None]
    prefix: Sequence[str] = ()


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A folder with a sweep file and its photos, which any user may enter."""
    folder = tmp_path / "sweeps"
    shutil.copytree(tiny_folder, folder / "photos")
    (folder / "tiny.yaml").write_text(SPEC)
    return folder


def draw(number: int, root: Path) -> Surroundings:
    """Draw an environment in which a sweep must succeed, with a home of its own."""
    rng = random.Random(number)
    temporary = [None, str(root / "missing"), "relative/place"]
    for length in (50, 99, 200):
        long = root / ("t" * max(length - len(str(root)) - 1, 8))
        long.mkdir(exist_ok=True)
        temporary.append(str(long))
    home = root / rng.choice([f"home-{number}", f"{'h' * 120}-{number}"])
    prefix: list[str] = []
    variables: dict[str, str | None] = {
        "MELTPOINT_HOME": str(home),
        "TMPDIR": rng.choice(temporary),
        "HOME": rng.choice([None, str(root / "missing"), "/", str(root)]),
    }
    if rng.random() < 0.5:
        variables |= dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"), PROXY)
    if rng.random() < 0.5:
        variables |= {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    if works([*SMALL_MEMORY, "true"]) and rng.random() < 0.5:
        prefix += SMALL_MEMORY
    if works([*DROPPED, "true"]) and rng.random() < 0.7:
        prefix += DROPPED
        variables |= {"USER": None, "LOGNAME": None, "LNAME": None, "USERNAME": None}
    return Surroundings(variables=variables, prefix=prefix)


def works(command: Sequence[str]) -> bool:
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0


def run(surroundings: Surroundings, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", **{k: v for k, v in surroundings.variables.items() if v is not None}}
    for name in [name for name, value in surroundings.variables.items() if value is None]:
        environment.pop(name, None)
    command = [*surroundings.prefix, MELTPOINT, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180)


def assert_speaks(done: subprocess.CompletedProcess[str], surroundings: Surroundings) -> None:
    """Check that a command names no defect and shows no traceback."""
    text = f"{surroundings}\n{done.stdout}\n{done.stderr}"
    assert "unexpected" not in done.stderr, text
    assert "Traceback" not in done.stderr + done.stdout, text
    assert "--debug" not in done.stderr + done.stdout, text


def test_doctor_and_a_sweep_succeed_in_odd_environments(folder: Path, tmp_path: Path, thorough: bool) -> None:
    tmp_path.chmod(0o777)
    for number in range(20 if thorough else 1):
        surroundings = draw(number, tmp_path)
        doctor = run(surroundings, folder, "doctor")
        assert_speaks(doctor, surroundings)
        assert doctor.returncode == 0, f"{surroundings}\n{doctor.stdout}\n{doctor.stderr}"
        done = run(surroundings, folder, "run", "tiny.yaml")
        assert_speaks(done, surroundings)
        assert done.returncode == 0, f"{surroundings}\n{done.stdout}\n{done.stderr}"


def test_what_cannot_work_is_refused_in_one_sentence_with_the_way_out(folder: Path, tmp_path: Path) -> None:
    long = str(tmp_path / ("r" * 60))
    cases = [
        ({"RAY_TMPDIR": long, "MELTPOINT_HOME": str(tmp_path / "home")}, "choose a shorter folder, or unset it"),
        ({"MELTPOINT_HOME": "/proc/home"}, "choose another with --home or MELTPOINT_HOME"),
        ({"MELTPOINT_HOME": "/dev/null/home"}, "choose another with --home or MELTPOINT_HOME"),
    ]
    for variables, way_out in cases:
        surroundings = Surroundings(variables=dict(variables))
        done = run(surroundings, folder, "run", "tiny.yaml")
        assert_speaks(done, surroundings)
        assert done.returncode == 1, done.stderr
        assert way_out in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr


def test_a_user_without_name_and_folder_is_told_to_choose_a_home(folder: Path, tmp_path: Path) -> None:
    if not works([*DROPPED, "true"]):
        pytest.skip("only root may run a command as another user")
    tmp_path.chmod(0o777)
    unknown = Surroundings(variables={"MELTPOINT_HOME": None, "HOME": None}, prefix=DROPPED)
    done = run(unknown, folder, "run", "tiny.yaml")
    assert done.stderr == (
        f"home ~/.meltpoint: HOME is not set, and the list of users has no folder for uid {NO_USER}; choose a home "
        "with --home or MELTPOINT_HOME\n"
    )
    listing = run(unknown, folder, "ls")
    assert listing.returncode == 0, listing.stderr
