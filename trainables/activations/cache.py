"""The node's cache of activations at freeze boundaries: bounded, shared by processes and sweeps, never needed."""

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

from trainables.activations.entries import ActivationEntry, Claims, Keys, Rows, remove, uses

__all__ = ["ActivationCache", "EntryKey", "StoredEntry", "find_entries"]

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_HALF_LIFE_SECONDS = 86_400.0
_SAVED = "saved.json"


@dataclass(frozen=True, kw_only=True)
class EntryKey:
    """What an entry's activations are of: `body` is the digest of all that computes them, `view` the kind of view.

    seconds: what computing one row took here, which is what a reader saves.
    """

    body: str
    view: str
    depth: int
    row_bytes: int
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True, kw_only=True)
class StoredEntry:
    """An entry on disk: size in bytes, how often it was gone over, seconds since then, what a row saves."""

    folder: Path
    size: int
    uses: int
    idle: float
    seconds: float
    row_bytes: int

    @property
    def benefit(self) -> float:
        """Seconds saved per byte, at uses so far and the next; halves each idle day (GDSF, Cherkasova 1998)."""
        return benefit(self.uses + 1, self.seconds, self.row_bytes, self.idle)


def benefit(count: int, seconds: float, row_bytes: int, idle: float = 0.0) -> float:
    """Seconds that `count` uses of a row save per byte, halved for each day of `idle` seconds."""
    fading: float = 0.5 ** (idle / _HALF_LIFE_SECONDS)
    return count * seconds / row_bytes * fading


def find_entries(root: Path, body: str = "*") -> Iterator[StoredEntry]:
    """Every entry below `root`, or of one body; what is not whole is passed over."""
    for rows in root.glob(f"{body}/*/*/rows"):
        try:
            saved = json.loads((rows.parent / _SAVED).read_text(encoding="utf-8"))
            size = rows.stat().st_size
            seconds, row_bytes = float(saved["seconds"]), int(saved["row_bytes"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        count, idle = uses(rows.parent)
        yield StoredEntry(
            folder=rows.parent, size=size, uses=count, idle=idle, seconds=seconds, row_bytes=max(1, row_bytes)
        )


class ActivationCache:
    """Entries below `root` that together take at most `limit` bytes of disk, of which `memory` are held here.

    Whatever goes wrong with the disk costs time and nothing else: the cache is then not used any further by this
    process, and `trouble` says why. Thread safety: one thread at a time; any number of processes share a root.
    """

    def __init__(self, root: Path, *, limit: int, memory: int) -> None:
        self.root, self.limit, self.memory = root, limit, memory
        self.trouble: str | None = None
        self._entries: OrderedDict[EntryKey, ActivationEntry] = OrderedDict()
        self._claims: dict[tuple[str, str], Claims] = {}
        self._refused: set[EntryKey] = set()

    def close(self) -> None:
        for entry in self._entries.values():
            entry.close()
        for claims in self._claims.values():
            claims.close()
        self._entries.clear()
        self._claims.clear()

    def entry(self, key: EntryKey) -> ActivationEntry | None:
        """The entry of that key, made if need be; None where the disk does not let us."""
        return self._guarded(lambda: self._opened(key))

    def claims(self, key: EntryKey) -> Claims | None:
        """Who computes what of this body's view; all its boundaries share one set of claims."""
        return self._guarded(lambda: self._claimed(key))

    def missing(self, key: EntryKey, keys: Keys) -> npt.NDArray[np.int64]:
        """Positions among `keys` of which there is no row; none where the disk fails."""
        found = self._guarded(lambda: self._missing(key, keys))
        return np.zeros(0, dtype=np.int64) if found is None else found

    def read(self, key: EntryKey, keys: Keys) -> Rows | None:
        """Rows (n, row_bytes) of these images; None where one is missing or damaged, or the disk fails."""
        return self._guarded(lambda: self._read(key, keys))

    def append(self, key: EntryKey, keys: Keys, rows: Rows) -> bool:
        """Keep rows where there is room or where they are worth more than what is there; whether they were kept."""
        return bool(self._guarded(lambda: self._append(key, keys, rows)))

    def likely_keeps(self, key: EntryKey, rows: int) -> bool:
        """Whether so many more rows would be kept: looked up only where the last ones were not."""
        return key not in self._refused or bool(self._guarded(lambda: self._room(key, rows * key.row_bytes)))

    def used(self, key: EntryKey) -> None:
        """Count a pass over the entry, for eviction."""
        if entry := self.entry(key):
            self._guarded(entry.used)
            self._guarded((self.root / key.body).touch)  # its time says when the body was last used

    def give_up(self, error: OSError) -> None:
        """Use the disk no further in this process, for this reason."""
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

    def _claimed(self, key: EntryKey) -> Claims:
        place = (key.body, key.view)
        if place not in self._claims:
            self._claims[place] = Claims(self.root / key.body / key.view / "claims")
        return self._claims[place]

    def _opened(self, key: EntryKey) -> ActivationEntry:
        entry = self._entries.get(key)
        if entry is not None and entry.gone:
            self._entries.pop(key).close()
            entry = None
        if entry is None:
            folder = self._folder(key)
            entry = ActivationEntry(folder, key.row_bytes)
            if not (folder / _SAVED).exists():
                about = {"seconds": key.seconds, "row_bytes": key.row_bytes}
                (folder / _SAVED).write_text(json.dumps(about), encoding="utf-8")
            self._entries[key] = entry
        self._entries.move_to_end(key)
        return entry

    def _folder(self, key: EntryKey) -> Path:
        return self.root / key.body / key.view / f"{key.depth}-{key.row_bytes}"

    def _missing(self, key: EntryKey, keys: Keys) -> npt.NDArray[np.int64]:
        entry = self._opened(key)
        entry.refresh()
        return entry.missing(keys)

    def _read(self, key: EntryKey, keys: Keys) -> Rows | None:
        entry = self._opened(key)
        entry.refresh()
        hold = len(entry) * key.row_bytes <= self.memory
        rows = entry.read(keys, hold=hold)
        if hold:
            self._let_go(key)
        return rows

    def _let_go(self, latest: EntryKey) -> None:
        """Close the entries that were read longest ago, until what is held fits into memory."""
        held = sum(entry.held_bytes for entry in self._entries.values())
        for key in list(self._entries):
            if held <= self.memory:
                return
            if key != latest:
                held -= self._entries[key].held_bytes
                self._entries.pop(key).close()

    def _append(self, key: EntryKey, keys: Keys, rows: Rows) -> bool:
        entry = self._opened(key)
        if not self._room(key, rows.nbytes):
            self._refused.add(key)
            return False
        self._refused.discard(key)
        entry.append(keys, rows)
        return True

    def _room(self, key: EntryKey, needed: int) -> bool:
        """Whether `needed` more bytes fit, after removing entries of less benefit than this one has."""
        stored = list(find_entries(self.root))
        total = sum(entry.size for entry in stored)
        if total + needed <= self.limit:
            return True
        ours = self._folder(key)
        own = benefit(uses(ours)[0] + 1, key.seconds, key.row_bytes)
        for other in sorted(stored, key=lambda entry: entry.benefit):
            if other.folder == ours or other.benefit >= own:
                continue
            remove(other.folder)
            total -= other.size
            if total + needed <= self.limit:
                return True
        return False
