"""The contract of every kind of store: a local folder, memory, and a real server of S3's protocol."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainables.checkpoint_stores import check_marker, join_place, open_store, probe_store, write_marker
from trainables.devices.tensors import NestedTensors
from trainables.errors import CheckpointError, NodeError
from trainables.training.checkpoints import load_checkpoint, save_checkpoint

TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)


@pytest.fixture(params=["local", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder of a store."""
    if request.param == "local":
        return str(tmp_path / "store")
    if request.param == "memory":
        return f"memory://store-{secrets.token_hex(4)}"
    return f"{request.getfixturevalue('bucket')}/some folder"


def names_in(place: str) -> dict[str, int]:
    return {file.location.removeprefix(f"{place}/"): file.size for file in open_store(place).files(place)}


def test_a_file_is_written_read_listed_and_deleted(place: str) -> None:
    store = open_store(place)
    assert names_in(place) == {}
    location = store.write(join_place(place, "a", "b"), "one.txt", b"first")
    assert location == f"{place}/a/b/one.txt"
    store.write(place, "two.txt", b"")
    assert store.read(location) == b"first"
    assert store.write(join_place(place, "a", "b"), "one.txt", b"again") == location
    assert store.read(location) == b"again"
    assert store.exists(location)
    assert names_in(place) == {"a/b/one.txt": 5, "two.txt": 0}
    assert names_in(join_place(place, "a")) == {"b/one.txt": 5}
    store.delete(location)
    store.delete(location)
    assert not store.exists(location)
    with pytest.raises(CheckpointError, match=r"cannot be read: (n|N)o such file"):
        store.read(location)
    assert names_in(place) == {"two.txt": 0}


def test_a_folder_is_removed_with_all_that_is_in_it_and_no_other(place: str) -> None:
    store = open_store(place)
    for folder in ("s-1/t", "s-1", "s-10"):
        store.write(join_place(place, folder), "file", b"x")
    store.remove(join_place(place, "s-1"))
    store.remove(join_place(place, "s-1"))
    assert names_in(place) == {"s-10/file": 1}


def test_many_threads_write_at_once(place: str) -> None:
    store = open_store(place)
    threads = [
        threading.Thread(target=store.write, args=(place, f"file-{number}", bytes(number))) for number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names_in(place) == {f"file-{number}": number for number in range(12)}


def test_a_probe_and_a_marker_tell_whether_a_store_is_the_same(place: str) -> None:
    probe_store(place)
    assert names_in(place) == {}
    marker = write_marker(place)
    check_marker(marker, "node-1")
    open_store(place).write(place, marker.rpartition("/")[2], b"another")
    with pytest.raises(NodeError, match=r"cannot be seen from the node node-1 \(.* has another content\)"):
        check_marker(marker, "node-1")
    open_store(place).delete(marker)
    with pytest.raises(NodeError, match=r"cannot be seen from the node node-1 .*give --store a place"):
        check_marker(marker, "node-1")


TREES = st.recursive(
    st.tuples(st.sampled_from(TYPES), st.lists(st.integers(0, 3), max_size=3), st.integers(0, 2**32)),
    lambda inner: st.dictionaries(st.text(st.characters(codec="ascii", exclude_characters="/")), inner, max_size=3),
    max_leaves=5,
).filter(lambda tree: isinstance(tree, dict))


def tensors_of(tree: Mapping[str, Any]) -> NestedTensors:
    tensors: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            tensors[name] = tensors_of(value)
        else:
            kind, shape, seed = value
            tensors[name] = (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 100).to(kind)
    return tensors


def flat(tensors: object, prefix: str = "") -> dict[str, torch.Tensor]:
    if isinstance(tensors, torch.Tensor):
        return {prefix: tensors}
    assert isinstance(tensors, dict)
    return {path: leaf for name, value in tensors.items() for path, leaf in flat(value, f"{prefix}/{name}").items()}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=TREES, data=st.data(), epoch=st.integers(0, 10**7))
def test_a_stored_tree_reads_back_equal_and_any_changed_byte_is_noticed(
    place: str, tree: Mapping[str, Any], data: st.DataObject, epoch: int
) -> None:
    tensors = tensors_of(tree)
    location = save_checkpoint(place, epoch=epoch, tensors=tensors, meta={"seed": 1})
    loaded = load_checkpoint(location)
    assert (loaded.epoch, loaded.meta) == (epoch, {"seed": 1})
    before, after = flat(tensors), flat(loaded.tensors)
    assert before.keys() == after.keys()
    for path, tensor in before.items():
        assert tensor.dtype == after[path].dtype
        assert torch.equal(tensor, after[path])

    store = open_store(location)
    content = bytearray(store.read(location))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    store.write(place, location.rpartition("/")[2], bytes(content))
    with pytest.raises(CheckpointError, match="torn or altered"):
        load_checkpoint(location)
