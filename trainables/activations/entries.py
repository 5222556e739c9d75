"""Rows of activations in a file, found by image: appended by any process, read by all, never trusted unchecked."""

from __future__ import annotations

import fcntl
import mmap
import os
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["ActivationEntry", "Claims", "Keys", "Rows", "remove", "uses"]

Keys = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.uint8]
"""Raw bytes of activations (n, row_bytes)."""

_RECORD = np.dtype([("key", "<u8"), ("sum", "<u4"), ("check", "<u4")])
_COVERED = np.dtype([("key", "<u8"), ("sum", "<u4"), ("slot", "<u8")])
"""What a record's own sum is of."""

_CRC = np.array([~zlib.crc32(bytes([octet]), 0xFFFFFFFF) & 0xFFFFFFFF for octet in range(256)], dtype=np.uint32)
"""The table of CRC-32 (Sarwate 1988): what an octet adds to it."""

_CLAIM_SPAN = np.uint64(2**62)

Slots = npt.NDArray[np.int64]
"""Places of rows in an entry's file."""


class ActivationEntry:
    """One boundary's activations of one view: `rows` holds them, `index` a record for each in the same order.

    A record has the image's key, the row's CRC-32 and its own, over its place too. A row counts only where both
    hold: so what a dead process half wrote, what was cut off and what was changed on disk is as if it were not
    there, and is appended anew. Rows are read into memory of this process, never mapped, since a mapped file that
    shrinks kills its readers.

    Thread safety: one thread at a time. Processes may append and read at once. Raises OSError where the disk does.
    """

    def __init__(self, folder: Path, row_bytes: int) -> None:
        self.folder = folder
        self.row_bytes = row_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._rows = os.open(folder / "rows", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._index = os.open(folder / "index", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            os.close(self._rows)
            raise
        self._sums = np.zeros(0, dtype=np.uint32)
        self._keys = np.zeros(0, dtype=np.uint64)
        """Of sound records, sorted; of equal ones the latest comes last. `_places` has their slots."""
        self._places = np.zeros(0, dtype=np.int64)
        self._memory: npt.NDArray[np.uint8] | None = None
        self._verified = np.zeros(0, dtype=bool)
        self._damaged = np.zeros(0, dtype=bool)

    def close(self) -> None:
        """Give back files and memory; the entry is of no use afterwards."""
        for descriptor in (self._rows, self._index):
            with suppress(OSError):
                os.close(descriptor)
        self._memory = None

    def __len__(self) -> int:
        """How many rows were appended, sound or not."""
        return len(self._sums)

    @property
    def gone(self) -> bool:
        """Whether another process has removed the files: what is appended now, nobody else will find."""
        return os.fstat(self._index).st_nlink == 0

    @property
    def held_bytes(self) -> int:
        """Memory that its rows take in this process."""
        return 0 if self._memory is None else self._memory.nbytes

    def refresh(self) -> None:
        """Notice what was appended meanwhile."""
        known = len(self._sums)
        size = os.fstat(self._index).st_size // _RECORD.itemsize
        if size <= known:
            return
        content = os.pread(self._index, (size - known) * _RECORD.itemsize, known * _RECORD.itemsize)
        records = np.frombuffer(content[: len(content) // _RECORD.itemsize * _RECORD.itemsize], dtype=_RECORD)
        sound = records["check"] == _checks(records["key"], records["sum"], np.arange(known, known + len(records)))
        keys = np.concatenate([self._keys, records["key"][sound]])
        places = np.concatenate([self._places, known + np.flatnonzero(sound)])
        order = np.argsort(keys, kind="stable")
        self._keys, self._places = keys[order], places[order]
        unknown = np.zeros(len(records), dtype=bool)
        self._sums = np.concatenate([self._sums, records["sum"]])
        self._verified = np.concatenate([self._verified, unknown])
        self._damaged = np.concatenate([self._damaged, unknown])

    def missing(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Positions among `keys` for which there is no row."""
        return np.flatnonzero(self._slots(keys) < 0)

    def read(self, keys: Keys, *, hold: bool) -> Rows | None:
        """The rows of `keys`; None where one is missing or damaged, which is then missing for good.

        hold: keep all rows of the entry in memory, so that they are read and checked once.
        """
        slots = self._slots(keys)
        if np.any(slots < 0):
            return None
        if hold:
            self._hold()
        rows = self._gathered(slots)
        return rows if self._sound(rows, slots) else None

    def _slots(self, keys: Keys) -> Slots:
        """Where the rows of `keys` are; -1 where there is none."""
        if not len(self._keys):
            return np.full(len(keys), -1, dtype=np.int64)
        nearest = np.searchsorted(self._keys, keys, side="right") - 1
        slots = self._places[nearest]
        return np.where((self._keys[nearest] == keys) & ~self._damaged[slots], slots, -1)

    def append(self, keys: Keys, rows: Rows) -> None:
        """Add rows (n, row_bytes) for `keys`; the last row appended for a key counts."""
        assert rows.shape == (len(keys), self.row_bytes), (rows.shape, len(keys), self.row_bytes)
        sums = [zlib.crc32(row.data) for row in rows]
        with _locked(self._index):
            first = os.fstat(self._index).st_size // _RECORD.itemsize
            os.ftruncate(self._index, first * _RECORD.itemsize)
            _write_all(self._rows, rows.tobytes(), first * self.row_bytes)
            records = np.empty(len(keys), dtype=_RECORD)
            records["key"], records["sum"] = keys, sums
            records["check"] = _checks(keys, records["sum"], np.arange(first, first + len(keys)))
            _write_all(self._index, records.tobytes(), first * _RECORD.itemsize)
        self.refresh()

    def used(self) -> None:
        """Note that a training or evaluation went over this entry once more; see `uses`."""
        with (self.folder / "uses").open("ab") as file:
            file.write(b".")

    def _gathered(self, slots: Slots) -> Rows:
        if self._memory is not None and (not len(slots) or slots.max() < len(self._memory)):
            return self._memory[slots]
        rows = np.zeros((len(slots), self.row_bytes), dtype=np.uint8)
        for at, slot in enumerate(slots.tolist()):
            os.preadv(self._rows, [rows[at]], slot * self.row_bytes)
        return rows

    def _hold(self) -> None:
        """Read what memory lacks."""
        have, wanted = (0 if self._memory is None else len(self._memory)), len(self._sums)
        if have == wanted:
            return
        memory = _blank_memory(wanted * self.row_bytes).reshape(wanted, self.row_bytes)
        if self._memory is not None:
            memory[:have] = self._memory
        fresh, offset = memory[have:].reshape(-1).data, have * self.row_bytes
        while fresh and (got := os.preadv(self._rows, [fresh], offset)):
            fresh, offset = fresh[got:], offset + got
        self._memory = memory

    def _sound(self, rows: Rows, slots: Slots) -> bool:
        """Whether all of them are as they were written; each is looked at once."""
        unseen = np.flatnonzero(~self._verified[slots])
        broken = [at for at in unseen if zlib.crc32(rows[at].data) != int(self._sums[slots[at]])]
        self._damaged[slots[broken]] = True
        self._verified[slots] = True
        return not broken


class Claims:
    """Who computes which image: a lock on the byte of a file that is the image's key, gone when its process ends.

    Claims of one process do not hold each other off: the system keeps such locks by process.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._file)

    @contextmanager
    def taking(self, keys: Keys, *, most: int) -> Iterator[npt.NDArray[np.int64]]:
        """Positions, at most `most`, of `keys` that nobody else has claimed: ours while entered."""
        taken: list[int] = []
        places = (keys % _CLAIM_SPAN).tolist()
        try:
            for at, place in enumerate(places):
                if len(taken) == most:
                    break
                with suppress(BlockingIOError, PermissionError):
                    fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
                    taken.append(at)
            yield np.array(taken, dtype=np.int64)
        finally:
            for at in taken:
                with suppress(OSError):  # the disk failed meanwhile, and the file was closed
                    fcntl.lockf(self._file, fcntl.LOCK_UN, 1, places[at])


def uses(folder: Path) -> tuple[int, float]:
    """How often an entry was gone over, and seconds since the last time."""
    try:
        status = (folder / "uses").stat()
    except OSError:
        return 0, 0.0
    return status.st_size, max(0.0, time.time() - status.st_mtime)


def remove(folder: Path) -> None:
    """Take an entry away, in one step for those who look; who has it open reads on."""
    beside = folder.with_name(f"{folder.name}.gone-{os.getpid()}-{time.monotonic_ns()}")
    with suppress(OSError):
        folder.rename(beside)
        shutil.rmtree(beside, ignore_errors=True)


def _checks(keys: Keys, sums: npt.NDArray[np.uint32], slots: Slots) -> npt.NDArray[np.uint32]:
    """Each record's CRC-32 as `zlib.crc32` gives it, of all at once: one by one takes as long as reading the rows."""
    covered = np.empty(len(keys), dtype=_COVERED)
    covered["key"], covered["sum"], covered["slot"] = keys, sums, slots
    found = np.full(len(keys), 0xFFFFFFFF, dtype=np.uint32)
    for octets in covered.view(np.uint8).reshape(len(keys), _COVERED.itemsize).T:
        found = _CRC[(found ^ octets) & 0xFF] ^ (found >> 8)
    return ~found


def _write_all(descriptor: int, content: bytes, offset: int) -> None:
    left = memoryview(content)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def _blank_memory(size: int) -> npt.NDArray[np.uint8]:
    """Memory that goes back to the system with the array, and in large pages where the system has them."""
    mapped = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):
            mapped.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(mapped, dtype=np.uint8)


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
