"""The node's cache of activations at freeze boundaries: bounded, shared by processes and sweeps, and optional."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from trainables.activations.entries import ActivationEntry, Claims, Keys, Rows, read_uses, remove_entry

__all__ = ["ActivationCache", "EntryKey", "StoredEntry", "find_entries"]

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_HALF_LIFE_SECONDS = 86_400.0
_SAVED = "saved.json"


@dataclass(frozen=True, kw_only=True)
class EntryKey:
    """The identity of an entry.

    Attributes:
        body: digest of everything that computes the activations.
        view: kind of view, see `trainables.augmentations.group_by_view_kind`.
        depth: freeze depth of the boundary.
        row_bytes: bytes of one image's activations.
        seconds: time to compute one row on this machine, which each read saves.
    """

    body: str
    view: str
    depth: int
    row_bytes: int
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True, kw_only=True)
class StoredEntry:
    """An entry on disk.

    Attributes:
        folder: its files.
        size: bytes of all its rows.
        uses: passes over it so far.
        idle: seconds since the last pass.
        seconds: time that reading one row saves.
        row_bytes: bytes of one row.
    """

    folder: Path
    size: int
    uses: int
    idle: float
    seconds: float
    row_bytes: int

    @property
    def benefit(self) -> float:
        """Seconds saved per byte, from the uses so far plus one; halves each idle day (GDSF, Cherkasova 1998)."""
        return benefit(self.uses + 1, self.seconds, self.row_bytes, self.idle)


def benefit(count: int, seconds: float, row_bytes: int, idle: float = 0.0) -> float:
    """Return the seconds per byte that `count` uses of a row save, halved for each day in `idle` seconds."""
    fading: float = 0.5 ** (idle / _HALF_LIFE_SECONDS)
    return count * seconds / row_bytes * fading


def find_entries(root: Path, body: str = "*") -> Iterator[StoredEntry]:
    """Iterate over the entries in the folder `root`, or over those of one body; skip incomplete ones."""
    for rows in root.glob(f"{body}/*/*/rows"):
        try:
            saved = json.loads((rows.parent / _SAVED).read_text(encoding="utf-8"))
            size = rows.stat().st_size
            seconds, row_bytes = float(saved["seconds"]), int(saved["row_bytes"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        count, idle = read_uses(rows.parent)
        yield StoredEntry(
            folder=rows.parent, size=size, uses=count, idle=idle, seconds=seconds, row_bytes=max(1, row_bytes)
        )


class ActivationCache:
    """Entries in the folder `root`, at most `limit` bytes on disk; up to `memory` bytes are kept in this process.

    An error of the disk costs time and nothing else: this process stops using the cache, and `trouble` gives the
    reason.

    Thread safety: one thread at a time; any number of processes may share a root.
    """

    def __init__(self, root: Path, *, limit: int, memory: int) -> None:
        self.root, self.limit, self.memory = root, limit, memory
        self.trouble: str | None = None
        self._entries: OrderedDict[EntryKey, ActivationEntry] = OrderedDict()
        self._claims: dict[tuple[str, str], Claims] = {}
        self._refused: set[EntryKey] = set()

    def close(self) -> None:
        """Close all files and give back the memory."""
        for entry in self._entries.values():
            entry.close()
        for claims in self._claims.values():
            claims.close()
        self._entries.clear()
        self._claims.clear()

    def open_claims(self, key: EntryKey) -> Claims | None:
        """Return the claims of the entry's view, which all its boundaries share; None if the disk fails."""
        return self._guarded(lambda: self._claims_of_view(key))

    def find_missing(self, key: EntryKey, keys: Keys) -> npt.NDArray[np.int64]:
        """Return the positions in `keys` without a row; an empty array if the disk fails."""
        missing = self._guarded(lambda: self._missing(key, keys))
        return np.zeros(0, dtype=np.int64) if missing is None else missing

    def read(self, key: EntryKey, keys: Keys) -> Rows | None:
        """Return the rows (n, row_bytes) of these images; None if a row is missing or damaged, or the disk fails."""
        return self._guarded(lambda: self._read(key, keys))

    def append(self, key: EntryKey, keys: Keys, rows: Rows) -> bool:
        """Keep rows if there is room, or if they save more than other entries do. Return whether they were kept."""
        return bool(self._guarded(lambda: self._append(key, keys, rows)))

    def would_keep(self, key: EntryKey, rows: int) -> bool:
        """Return whether `rows` more rows would be kept. Looks for room only if the last rows were refused."""
        return key not in self._refused or bool(self._guarded(lambda: self._make_room(key, rows * key.row_bytes)))

    def count_use(self, key: EntryKey) -> None:
        """Count a pass over the entry, for eviction."""
        self._guarded(lambda: self._count_use(key))

    def give_up(self, error: OSError) -> None:
        """Stop using the cache in this process, because of `error`."""
        log.info("the activation cache is not used any further", exc_info=error)
        self.trouble = f"activations are computed anew each time: {self.root} cannot be used ({error.strerror})"
        self.close()

    def _guarded(self, work: Callable[[], Result]) -> Result | None:
        if self.trouble is not None:
            return None
        try:
            return work()
        except OSError as error:
            self.give_up(error)
            return None

    def _claims_of_view(self, key: EntryKey) -> Claims:
        view = (key.body, key.view)
        if view not in self._claims:
            self._claims[view] = Claims(self.root / key.body / key.view / "claims")
        return self._claims[view]

    def _count_use(self, key: EntryKey) -> None:
        self._open(key).count_use()
        (self.root / key.body).touch()  # the folder's time is when the body was last used

    def _open(self, key: EntryKey) -> ActivationEntry:
        entry = self._entries.get(key)
        if entry is not None and entry.is_removed:
            self._entries.pop(key).close()
            entry = None
        if entry is None:
            folder = self._folder(key)
            entry = ActivationEntry(folder, key.row_bytes)
            if not (folder / _SAVED).exists():
                saved = {"seconds": key.seconds, "row_bytes": key.row_bytes}
                (folder / _SAVED).write_text(json.dumps(saved), encoding="utf-8")
            self._entries[key] = entry
        self._entries.move_to_end(key)
        return entry

    def _folder(self, key: EntryKey) -> Path:
        return self.root / key.body / key.view / f"{key.depth}-{key.row_bytes}"

    def _missing(self, key: EntryKey, keys: Keys) -> npt.NDArray[np.int64]:
        entry = self._open(key)
        entry.refresh()
        return entry.find_missing(keys)

    def _read(self, key: EntryKey, keys: Keys) -> Rows | None:
        entry = self._open(key)
        entry.refresh()
        fits = len(entry) * key.row_bytes <= self.memory
        rows = entry.read(keys, keep_in_memory=fits)
        if fits:
            self._free_memory(key)
        return rows

    def _free_memory(self, latest: EntryKey) -> None:
        """Close the entries that were read longest ago, until the rest fits into `memory`."""
        total = sum(entry.memory_bytes for entry in self._entries.values())
        for key in list(self._entries):
            if total <= self.memory:
                return
            if key != latest:
                total -= self._entries[key].memory_bytes
                self._entries.pop(key).close()

    def _append(self, key: EntryKey, keys: Keys, rows: Rows) -> bool:
        entry = self._open(key)
        if not self._make_room(key, rows.nbytes):
            self._refused.add(key)
            return False
        self._refused.discard(key)
        entry.append(keys, rows)
        return True

    def _make_room(self, key: EntryKey, needed: int) -> bool:
        """Remove entries of less benefit until `needed` more bytes fit. Return whether they fit."""
        stored = list(find_entries(self.root))
        total = sum(entry.size for entry in stored)
        if total + needed <= self.limit:
            return True
        ours = self._folder(key)
        own = benefit(read_uses(ours)[0] + 1, key.seconds, key.row_bytes)
        for other in sorted(stored, key=lambda entry: entry.benefit):
            if other.folder == ours or other.benefit >= own:
                continue
            remove_entry(other.folder)
            total -= other.size
            if total + needed <= self.limit:
                return True
        return False
