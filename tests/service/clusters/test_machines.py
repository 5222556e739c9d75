"""Memory and cores of the machine, or of the container if it has less."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from service.clusters import cgroup_cores, machines, memory_available, usable_cores


def limit(tmp_path: Path, text: str) -> Path:
    """Write a file of the control group with this text."""
    file = tmp_path / "limit"
    file.write_text(text)
    return file


@pytest.mark.parametrize("text", ["max\n", "", None])
def test_without_a_containers_limit_the_memory_is_the_machines(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "absent" if text is None else limit(tmp_path, text)
    monkeypatch.setattr(machines, "_CGROUP_MEMORY", file)
    available, total = memory_available()
    assert 0 < available <= total == psutil.virtual_memory().total


def test_a_container_has_no_more_memory_than_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "_CGROUP_MEMORY", limit(tmp_path, "1000000\n"))
    assert memory_available() == (1_000_000, 1_000_000)
    monkeypatch.setattr(machines, "_CGROUP_MEMORY", limit(tmp_path, f"{2**62}\n"))
    assert memory_available()[1] == psutil.virtual_memory().total


@pytest.mark.parametrize(("text", "quota", "cores"), [("150000 100000", 1.5, 1), ("50000 100000", 0.5, 1)])
def test_a_containers_quota_is_counted_in_whole_cores_and_at_least_as_one(
    text: str, quota: float, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "_CGROUP_CPU", limit(tmp_path, text))
    assert (cgroup_cores(), usable_cores()) == (quota, cores)


def test_without_a_quota_all_cores_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "_CGROUP_CPU", limit(tmp_path, "max 100000"))
    assert (cgroup_cores(), usable_cores()) == (None, os.cpu_count())
