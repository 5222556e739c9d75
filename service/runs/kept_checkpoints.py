"""Checkpoints of a sweep in its stores: those that stay when trials have finished, and the space that they take."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from search_spaces import Goal
from service.ledgers import CHECKPOINT_STORES, Json, Sweep, Trial, TrialState
from service.settings import Home
from trainables.checkpoint_stores import (
    BackgroundTasks,
    StoredFile,
    is_remote,
    join_place,
    name_of_place,
    open_store,
    parent_place,
    within_seconds,
)
from trainables.errors import StoreError

__all__ = [
    "KEPT",
    "KeptCheckpoints",
    "SweepFiles",
    "checkpoint_folder",
    "checkpoint_folders",
    "delete_checkpoints",
    "list_files",
    "measure_checkpoints",
    "space_taken",
    "store_of",
    "with_store",
]

KEPT = 10
"""The number of best finished trials whose best epoch's checkpoint stays."""

_LISTING_SECONDS = 5.0
"""Time that a store has to list a sweep's files for people."""

_DELETING_SECONDS = 20.0
"""Time that a driver waits at its end for deletions in a store."""

_FILES = "epoch-*.safetensors"


def store_of(home: Home, sweep: Sweep) -> str | None:
    """Return the store of a sweep's new checkpoints: the one that is set, else the last one of the sweep; else None."""
    return home.store or next(iter(sweep.checkpoint_stores[-1:]), None)


def checkpoint_folder(home: Home, sweep: Sweep) -> str:
    """Return the place of a sweep's new checkpoints, in its store or in the home."""
    store = store_of(home, sweep)
    return str(home.sweep(sweep.id)) if store is None else join_place(store, sweep.id)


def checkpoint_folders(home: Home, sweep: Sweep) -> list[str]:
    """Return every place that may have checkpoints of a sweep, the home's folder first."""
    stores = [join_place(store, sweep.id) for store in sweep.checkpoint_stores]
    return list(dict.fromkeys([str(home.sweep(sweep.id)), *stores, checkpoint_folder(home, sweep)]))


def with_store(home: Home, sweep: Sweep) -> Json | None:
    """Return the sweep's data with the store that it uses now; None if they say so already, or it uses the home."""
    store = store_of(home, sweep)
    if store is None or store in sweep.checkpoint_stores[-1:]:
        return None
    others = [other for other in sweep.checkpoint_stores if other != store]
    return {**sweep.data, CHECKPOINT_STORES: [*others, store]}


@dataclass(frozen=True, kw_only=True)
class SweepFiles:
    """The files of a sweep: the number of checkpoints, and bytes by kind.

    unlisted: why a store could not be listed; empty if all files are counted.
    """

    checkpoints: int = 0
    checkpoint_bytes: int = 0
    prediction_bytes: int = 0
    other_bytes: int = 0
    unlisted: str = ""

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return self.checkpoint_bytes + self.prediction_bytes + self.other_bytes

    def as_json(self) -> Json:
        """Return the numbers as plain data."""
        return dataclasses.asdict(self)


def list_files(folders: Iterable[str]) -> SweepFiles:
    """Return what is in a sweep's folders, also while somebody removes it."""
    sizes = {"checkpoint": 0, "prediction": 0, "other": 0}
    checkpoints, unlisted = 0, ""
    for folder in folders:
        try:
            files = _listed(folder)
        except StoreError as error:
            unlisted = str(error)
            continue
        for file in files:
            is_checkpoint = _is_checkpoint(file)
            checkpoints += is_checkpoint
            is_prediction = name_of_place(file.location) == "predictions.npz"
            sizes["checkpoint" if is_checkpoint else "prediction" if is_prediction else "other"] += file.size
    kinds = {f"{kind}_bytes": size for kind, size in sizes.items()}
    return SweepFiles(checkpoints=checkpoints, unlisted=unlisted, **kinds)


def _listed(folder: str) -> list[StoredFile]:
    """Return the files of a folder. Raises StoreError if its store does not list them in time."""

    def read() -> list[StoredFile]:
        return list(open_store(folder).files(folder))

    return within_seconds(_LISTING_SECONDS, read) if is_remote(folder) else read()


def _is_checkpoint(file: StoredFile) -> bool:
    return fnmatch(name_of_place(file.location), _FILES)


class KeptCheckpoints:
    """Deletes checkpoints that nobody will read: all but the best epoch's of the best finished trials.

    folders: of the sweep, in each store, with a folder for each trial. ended: trials that have finished before. most:
    number of trials that keep theirs. If a store is elsewhere, a thread deletes, so that nothing waits for it.
    """

    def __init__(self, folders: Sequence[str], *, goal: Goal, ended: Iterable[Trial] = (), most: int = KEPT) -> None:
        self._folders, self._goal, self._most = folders, goal, most
        self._background = BackgroundTasks() if any(map(is_remote, folders)) else None
        past = list(ended)
        self._best = sorted(filter(_has_result, past), key=self._rank)[:most]
        if past:
            kept = {trial.id: name_of_place(trial.checkpoint or "") for trial in self._best}
            self._run(partial(_delete_of_ended, folders, {trial.id for trial in past}, kept))

    def add(self, trial: Trial) -> None:
        """Take a trial that has finished, and delete what need not stay."""
        if not _has_result(trial):
            self._clear(trial, None)
            return
        self._clear(trial, name_of_place(trial.checkpoint or ""))
        self._best = sorted([*self._best, trial], key=self._rank)
        for other in self._best[self._most :]:
            self._clear(other, None)
        del self._best[self._most :]

    def close(self) -> None:
        """Wait a while for deletions in a store; those that do not come to an end are made up for by `resume`."""
        if self._background is not None:
            self._background.close(_DELETING_SECONDS)

    def _rank(self, trial: Trial) -> tuple[float, int]:
        assert trial.best_value is not None
        return self._goal.sort_key(trial.best_value), trial.number

    def _clear(self, trial: Trial, but: str | None) -> None:
        self._run(partial(delete_checkpoints, self._folders, trial, but=but))

    def _run(self, task: Callable[[], None]) -> None:
        if self._background is None:
            task()
        else:
            self._background.submit(task)


def _has_result(trial: Trial) -> bool:
    return trial.state is not TrialState.FAILED and trial.best_value is not None and trial.checkpoint is not None


def _delete_of_ended(folders: Sequence[str], ended: set[str], kept: Mapping[str, str]) -> None:
    """Delete checkpoints of ended trials, by one listing of each folder; kept: the name of the one that stays."""
    for folder in folders:
        store = open_store(folder)
        for file in list(store.files(folder)):
            trial_id = name_of_place(parent_place(file.location))
            if trial_id in ended and _is_checkpoint(file) and kept.get(trial_id) != name_of_place(file.location):
                store.delete(file.location)


def delete_checkpoints(folders: Iterable[str], trial: Trial, *, but: str | None = None) -> None:
    """Delete a trial's checkpoints; folders: of the sweep. but: name of the file to keep.

    Raises:
        StoreError: a store refuses, or cannot be reached.
    """
    for folder in folders:
        place = join_place(folder, trial.id)
        store = open_store(place)
        for file in list(store.files(place)):
            if _is_checkpoint(file) and name_of_place(file.location) != but:
                store.delete(file.location)


def measure_checkpoints(home: Home, sweep: Sweep) -> tuple[int, int, str]:
    """Return number and bytes of a sweep's checkpoints, and why a store could not be listed, or an empty text."""
    folders = checkpoint_folders(home, sweep)
    here = [space_taken(Path(folder)) for folder in folders if not is_remote(folder)]
    elsewhere = list_files(filter(is_remote, folders))
    files, size = sum(number for number, _ in here), sum(size for _, size in here)
    return files + elsewhere.checkpoints, size + elsewhere.checkpoint_bytes, elsewhere.unlisted


def space_taken(folder: Path) -> tuple[int, int]:
    """Return number and bytes of the checkpoints in a sweep's local folder."""
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
