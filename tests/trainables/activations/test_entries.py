from __future__ import annotations

import multiprocessing
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.activations.entries import ActivationEntry, Claims, Keys, Rows, remove_entry

ROW = 24


def rows_of(keys: Keys) -> Rows:
    """Return bytes derived from the key, so that a wrong row is noticed; few are zero, unlike those behind a cut."""
    return ~np.stack([np.frombuffer(int(key).to_bytes(8, "little") * 3, dtype=np.uint8) for key in keys])


def keys_of(*numbers: int) -> Keys:
    return np.array(numbers, dtype=np.uint64)


@pytest.fixture
def entry(tmp_path: Path) -> Iterator[ActivationEntry]:
    made = ActivationEntry(tmp_path / "entry", ROW)
    yield made
    made.close()


def same(rows: Rows | None, keys: Keys) -> bool:
    """Return if the rows are those of the keys."""
    return rows is not None and np.array_equal(rows, rows_of(keys))


def reopened(entry: ActivationEntry) -> ActivationEntry:
    again = ActivationEntry(entry.folder, ROW)
    again.refresh()
    return again


@pytest.mark.parametrize("in_memory", [True, False])
def test_what_was_appended_is_read_by_whoever_opens_it(entry: ActivationEntry, in_memory: bool) -> None:
    keys = keys_of(7, 2**63 + 5, 9)
    entry.append(keys, rows_of(keys))
    again = reopened(entry)
    wanted = keys_of(9, 7, 7, 2**63 + 5)
    assert same(again.read(wanted, keep_in_memory=in_memory), wanted)
    assert again.read(keys_of(7, 8), keep_in_memory=in_memory) is None
    assert again.find_missing(keys_of(7, 8, 9, 10)).tolist() == [1, 3]
    again.close()


def test_a_reader_sees_what_another_appends_later(entry: ActivationEntry) -> None:
    reader = reopened(entry)
    entry.append(keys_of(1), rows_of(keys_of(1)))
    assert reader.read(keys_of(1), keep_in_memory=True) is None
    reader.refresh()
    entry.append(keys_of(2), rows_of(keys_of(2)))
    reader.refresh()
    assert same(reader.read(keys_of(1, 2), keep_in_memory=True), keys_of(1, 2))
    reader.close()


@settings(max_examples=40)
@given(data=st.data())
def test_no_damage_is_ever_read_as_activations(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Flip a byte anywhere, or cut a file anywhere: a row is right, or it is missing and can be appended anew."""
    entry = ActivationEntry(tmp_path_factory.mktemp("damage") / "entry", ROW)
    keys = np.arange(1, 9, dtype=np.uint64)
    entry.append(keys, rows_of(keys))
    path = entry.folder / data.draw(st.sampled_from(["rows", "index"]))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)

    again = reopened(entry)
    for key in keys:
        actual = again.read(np.array([key]), keep_in_memory=data.draw(st.booleans()))
        assert actual is None or np.array_equal(actual, rows_of(np.array([key])))
    lost = keys[again.find_missing(keys)]
    assert len(lost) >= 1
    again.append(lost, rows_of(lost))
    assert same(again.read(keys, keep_in_memory=True), keys)
    for opened in (entry, again):
        opened.close()


@given(keys=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20, unique=True))
def test_records_are_as_earlier_versions_wrote_them(tmp_path_factory: pytest.TempPathFactory, keys: list[int]) -> None:
    """Check key, CRC-32 of the row, and CRC-32 of both with the place: caches outlive the program that filled them."""
    entry = ActivationEntry(tmp_path_factory.mktemp("format") / "entry", ROW)
    rows = rows_of(keys_of(*keys))
    half = len(keys) // 2
    for part in (slice(0, half), slice(half, None)):
        entry.append(keys_of(*keys)[part], rows[part])
    entry.close()
    expected = b""
    for slot, key in enumerate(keys):
        about = struct.pack("<QI", key, zlib.crc32(rows[slot].tobytes()))
        expected += about + struct.pack("<I", zlib.crc32(about + struct.pack("<Q", slot)))
    assert (entry.folder / "index").read_bytes() == expected


def test_a_torn_append_is_passed_over(entry: ActivationEntry) -> None:
    entry.append(keys_of(1), rows_of(keys_of(1)))
    with (entry.folder / "rows").open("ab") as rows, (entry.folder / "index").open("ab") as index:
        rows.write(b"half a row")
        index.write(b"half")
    again = reopened(entry)
    assert again.find_missing(keys_of(1, 2)).tolist() == [1]
    again.append(keys_of(2), rows_of(keys_of(2)))
    third = reopened(entry)
    assert same(third.read(keys_of(1, 2), keep_in_memory=False), keys_of(1, 2))
    again.close()
    third.close()


def test_who_has_a_removed_entry_open_reads_on(entry: ActivationEntry) -> None:
    entry.append(keys_of(1), rows_of(keys_of(1)))
    remove_entry(entry.folder)
    assert entry.is_removed
    assert not entry.folder.exists()
    assert same(entry.read(keys_of(1), keep_in_memory=False), keys_of(1))


def _keep_claims(path: Path, keys: Keys, taken: multiprocessing.synchronize.Event) -> None:
    claims = Claims(path)
    with claims.taking(keys, most=len(keys)):
        taken.set()
        os.kill(os.getpid(), 19)  # stopped, like a process that hangs: only its end frees the lock


def test_claims_hold_others_off_and_end_with_their_process(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    taken = context.Event()
    other = context.Process(target=_keep_claims, args=(tmp_path / "claims", keys_of(1, 2), taken))
    other.start()
    assert taken.wait(20)
    claims = Claims(tmp_path / "claims")
    with claims.taking(keys_of(1, 2, 3, 4, 5), most=2) as ours:
        assert ours.tolist() == [2, 3]
    other.kill()
    other.join()
    with claims.taking(keys_of(1, 2, 3), most=5) as ours:
        assert ours.tolist() == [0, 1, 2]
    claims.close()
