"""Checkpoints that stay on disk when a sweep's trials have finished."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from search_spaces import Goal
from service.ledgers import Json, Trial, TrialState

__all__ = ["KEPT", "KeptCheckpoints", "SweepFiles", "delete_checkpoints", "list_files", "space_taken"]

KEPT = 10
"""The number of best finished trials whose best epoch's checkpoint stays."""

_FILES = "epoch-*.safetensors"


@dataclass(frozen=True, kw_only=True)
class SweepFiles:
    """The files in a sweep's folder: the number of checkpoints, and bytes by kind."""

    checkpoints: int = 0
    checkpoint_bytes: int = 0
    prediction_bytes: int = 0
    other_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return self.checkpoint_bytes + self.prediction_bytes + self.other_bytes

    def as_json(self) -> Json:
        """Return the numbers as plain data."""
        return dataclasses.asdict(self)


def list_files(folder: Path) -> SweepFiles:
    """Return what is in a sweep's folder, also while somebody removes it."""
    sizes = {"checkpoint": 0, "prediction": 0, "other": 0}
    checkpoints = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if file.is_file() and not file.is_symlink():
                is_checkpoint = fnmatch(file.name, _FILES)
                checkpoints += is_checkpoint
                kind = "checkpoint" if is_checkpoint else "prediction" if file.name == "predictions.npz" else "other"
                sizes[kind] += file.stat().st_size
    return SweepFiles(checkpoints=checkpoints, **{f"{kind}_bytes": size for kind, size in sizes.items()})


class KeptCheckpoints:
    """Deletes checkpoints that nobody will read: all but the best epoch's of the best finished trials.

    folder: of the sweep, with a folder for each trial. ended: trials that have finished before. most: number of
    trials that keep theirs.
    """

    def __init__(self, folder: Path, *, goal: Goal, ended: Iterable[Trial] = (), most: int = KEPT) -> None:
        self._folder, self._goal, self._most = folder, goal, most
        self._best: list[Trial] = []
        for trial in ended:
            self.add(trial)

    def add(self, trial: Trial) -> None:
        """Take a trial that has finished, and delete what need not stay."""
        if trial.state is TrialState.FAILED or trial.best_value is None or trial.checkpoint is None:
            self._clear(trial, None)
            return
        self._clear(trial, Path(trial.checkpoint).name)
        self._best = sorted([*self._best, trial], key=self._rank)
        for other in self._best[self._most :]:
            self._clear(other, None)
        del self._best[self._most :]

    def _rank(self, trial: Trial) -> tuple[float, int]:
        assert trial.best_value is not None
        return self._goal.sort_key(trial.best_value), trial.number

    def _clear(self, trial: Trial, but: str | None) -> None:
        delete_checkpoints(self._folder, trial, but=but)


def delete_checkpoints(folder: Path, trial: Trial, *, but: str | None = None) -> None:
    """Delete a trial's checkpoints; folder: of the sweep. but: name of the file to keep."""
    for file in (folder / trial.id).glob(_FILES):
        if file.name != but:
            file.unlink(missing_ok=True)


def space_taken(folder: Path) -> tuple[int, int]:
    """Return number and bytes of a sweep's checkpoints."""
    sizes = [size for subfolder in _entries(folder) for size in _sizes(Path(subfolder))]
    return len(sizes), sum(sizes)


def _entries(folder: Path) -> list[str]:
    """Return the paths in a folder; none if it has just gone, or is a file."""
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _sizes(folder: Path) -> Iterator[int]:
    """Yield the bytes of each checkpoint in a trial's folder."""
    for path in _entries(folder):
        if fnmatch(Path(path).name, _FILES):
            with suppress(FileNotFoundError):  # a trial has just replaced it
                yield Path(path).stat().st_size
