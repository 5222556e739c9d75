"""Rows of activations in a file, looked up by image. Any process may append and read; every row is checked."""

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

__all__ = ["ActivationEntry", "Claims", "Keys", "Rows", "read_uses", "remove_entry"]

Keys = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.uint8]
"""Raw bytes of activations (n, row_bytes)."""

_RECORD = np.dtype([("key", "<u8"), ("sum", "<u4"), ("check", "<u4")])
_COVERED = np.dtype([("key", "<u8"), ("sum", "<u4"), ("slot", "<u8")])
"""The bytes that a record's own checksum covers."""

_CRC = np.array([~zlib.crc32(bytes([octet]), 0xFFFFFFFF) & 0xFFFFFFFF for octet in range(256)], dtype=np.uint32)
"""The table of CRC-32, by octet (Sarwate 1988)."""

_CLAIM_SPAN = np.uint64(2**62)

Slots = npt.NDArray[np.int64]
"""Places of rows in an entry's file."""


class ActivationEntry:
    """A boundary's activations of one view, in two files: `rows`, and `index` with a record for each row.

    A record has the image's key, the row's CRC-32, and a CRC-32 of the record with its place in the file. A row counts
    only if both checksums are right. Rows that a killed process left half written, that were cut off, or that changed
    on disk count as missing, and are appended again. Rows are read into memory of this process, never mapped: a mapped
    file that shrinks kills its readers.

    Thread safety: one thread at a time. Several processes may append and read at once.

    Raises:
        OSError: every method, if the disk fails.
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
        """Keys of the sound records, sorted; the latest of equal keys comes last. `_places` has their slots."""
        self._places = np.zeros(0, dtype=np.int64)
        self._memory: npt.NDArray[np.uint8] | None = None
        self._verified = np.zeros(0, dtype=bool)
        self._damaged = np.zeros(0, dtype=bool)

    def close(self) -> None:
        """Close the files and give back the memory. The entry cannot be used afterwards."""
        for descriptor in (self._rows, self._index):
            with suppress(OSError):
                os.close(descriptor)
        self._memory = None

    def __len__(self) -> int:
        """Return how many rows were appended, sound or not."""
        return len(self._sums)

    @property
    def is_removed(self) -> bool:
        """True if another process has removed the files, so that no other process can find new rows."""
        return os.fstat(self._index).st_nlink == 0

    @property
    def memory_bytes(self) -> int:
        """Memory that the rows take in this process."""
        return 0 if self._memory is None else self._memory.nbytes

    def refresh(self) -> None:
        """Read the records that were appended since the last call."""
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

    def find_missing(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Return the positions in `keys` that have no row."""
        return np.flatnonzero(self._slots(keys) < 0)

    def read(self, keys: Keys, *, keep_in_memory: bool) -> Rows | None:
        """Return the rows of `keys`; None if a row is missing or damaged. A damaged row counts as missing from then on.

        keep_in_memory: keep all rows of the entry in memory, so that each is read and checked once.
        """
        slots = self._slots(keys)
        if np.any(slots < 0):
            return None
        if keep_in_memory:
            self._load_rows()
        rows = self._gather(slots)
        return rows if self._are_sound(rows, slots) else None

    def _slots(self, keys: Keys) -> Slots:
        """Return the slots of the rows of `keys`; -1 for a key without a row."""
        if not len(self._keys):
            return np.full(len(keys), -1, dtype=np.int64)
        nearest = np.searchsorted(self._keys, keys, side="right") - 1
        slots = self._places[nearest]
        return np.where((self._keys[nearest] == keys) & ~self._damaged[slots], slots, -1)

    def append(self, keys: Keys, rows: Rows) -> None:
        """Append rows (n, row_bytes) for `keys`. The last row of a key counts."""
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

    def count_use(self) -> None:
        """Record one more pass over the entry; see `read_uses`."""
        with (self.folder / "uses").open("ab") as file:
            file.write(b".")

    def _gather(self, slots: Slots) -> Rows:
        if self._memory is not None and (not len(slots) or slots.max() < len(self._memory)):
            return self._memory[slots]
        rows = np.zeros((len(slots), self.row_bytes), dtype=np.uint8)
        for position, slot in enumerate(slots.tolist()):
            os.preadv(self._rows, [rows[position]], slot * self.row_bytes)
        return rows

    def _load_rows(self) -> None:
        """Read the rows that are not in memory yet."""
        loaded, total = (0 if self._memory is None else len(self._memory)), len(self._sums)
        if loaded == total:
            return
        memory = _blank_memory(total * self.row_bytes).reshape(total, self.row_bytes)
        if self._memory is not None:
            memory[:loaded] = self._memory
        rest, offset = memory[loaded:].reshape(-1).data, loaded * self.row_bytes
        while rest and (count := os.preadv(self._rows, [rest], offset)):
            rest, offset = rest[count:], offset + count
        self._memory = memory

    def _are_sound(self, rows: Rows, slots: Slots) -> bool:
        """Return whether all rows are as they were written; check each row once."""
        unseen = np.flatnonzero(~self._verified[slots])
        broken = [row for row in unseen if zlib.crc32(rows[row].data) != int(self._sums[slots[row]])]
        self._damaged[slots[broken]] = True
        self._verified[slots] = True
        return not broken


class Claims:
    """Locks that divide images among processes: each process computes those that it has claimed.

    A claim is a lock on one byte of a file, at the image's key. The system releases it when the process ends. Claims of
    one process do not exclude each other, since the system keeps such locks by process.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def close(self) -> None:
        """Close the file, which releases all claims."""
        with suppress(OSError):
            os.close(self._file)

    @contextmanager
    def taking(self, keys: Keys, *, most: int) -> Iterator[npt.NDArray[np.int64]]:
        """Claim at most `most` of `keys` while the context is entered; yield the positions of those claimed."""
        taken: list[int] = []
        places = (keys % _CLAIM_SPAN).tolist()
        try:
            for position, place in enumerate(places):
                if len(taken) == most:
                    break
                with suppress(BlockingIOError, PermissionError):
                    fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
                    taken.append(position)
            yield np.array(taken, dtype=np.int64)
        finally:
            for position in taken:
                with suppress(OSError):  # the disk failed meanwhile, and the file was closed
                    fcntl.lockf(self._file, fcntl.LOCK_UN, 1, places[position])


def read_uses(folder: Path) -> tuple[int, float]:
    """Return how many passes went over an entry, and the seconds since the last pass."""
    try:
        status = (folder / "uses").stat()
    except OSError:
        return 0, 0.0
    return status.st_size, max(0.0, time.time() - status.st_mtime)


def remove_entry(folder: Path) -> None:
    """Remove an entry in one step. Processes that have it open can still read it."""
    beside = folder.with_name(f"{folder.name}.gone-{os.getpid()}-{time.monotonic_ns()}")
    with suppress(OSError):
        folder.rename(beside)
        shutil.rmtree(beside, ignore_errors=True)


def _checks(keys: Keys, sums: npt.NDArray[np.uint32], slots: Slots) -> npt.NDArray[np.uint32]:
    """Return each record's CRC-32, equal to `zlib.crc32`, for all at once.

    One by one would take as long as reading the rows.
    """
    covered = np.empty(len(keys), dtype=_COVERED)
    covered["key"], covered["sum"], covered["slot"] = keys, sums, slots
    sums_so_far = np.full(len(keys), 0xFFFFFFFF, dtype=np.uint32)
    for octets in covered.view(np.uint8).reshape(len(keys), _COVERED.itemsize).T:
        sums_so_far = _CRC[(sums_so_far ^ octets) & 0xFF] ^ (sums_so_far >> 8)
    return ~sums_so_far


def _write_all(descriptor: int, content: bytes, offset: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


def _blank_memory(size: int) -> npt.NDArray[np.uint8]:
    """Return memory that goes back to the system with the array, in large pages if the system has them."""
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
