"""The space that a sweep's checkpoints take, also while its driver makes and removes folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from service.runs import space_taken


def test_only_checkpoints_in_the_folders_of_trials_count(tmp_path: Path) -> None:
    (tmp_path / "s-1-0000").mkdir()
    (tmp_path / "s-1-0000" / "epoch-1-ab.safetensors").write_bytes(bytes(7))
    (tmp_path / "s-1-0000" / "predictions.npz").write_bytes(bytes(9))
    (tmp_path / "trials.log").write_text("a line")
    assert space_taken(tmp_path) == (1, 7)
    assert space_taken(tmp_path / "gone") == (0, 0)


def test_a_folder_that_goes_meanwhile_counts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rendezvous-x").mkdir()
    scandir = os.scandir

    def scan_late(path: str | Path) -> Any:
        """Remove the folder between its listing and its own scan."""
        if Path(path).name == "rendezvous-x":
            Path(path).rmdir()
        return scandir(path)

    monkeypatch.setattr("os.scandir", scan_late)
    assert space_taken(tmp_path) == (0, 0)
