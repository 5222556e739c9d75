from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainables.devices.tensors import NestedTensors
from trainables.errors import CheckpointError, StoreError
from trainables.training.checkpoints import load_checkpoint, save_checkpoint

TENSORS: dict[str, Tensor | NestedTensors] = {
    "epoch": torch.tensor(3),
    "model": {"a.weight": torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)},
    "optimizer": {"a.weight": {"step": torch.tensor(7.0), "mean": torch.randn(4, dtype=torch.float64)}},
    "flags": torch.tensor([True, False]),
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return Path(save_checkpoint(tmp_path / "deep" / "er", epoch=3, tensors=TENSORS, meta={"recipe": {"lr": 0.1}}))


def assert_same(actual: object, expected: object) -> None:
    if isinstance(expected, Tensor):
        assert isinstance(actual, Tensor)
        assert actual.dtype == expected.dtype
        assert torch.equal(actual, expected)
    else:
        assert isinstance(actual, dict)
        assert isinstance(expected, dict)
        assert actual.keys() == expected.keys()
        for name in expected:
            assert_same(actual[name], expected[name])


def test_what_was_saved_comes_back_exactly(saved: Path) -> None:
    checkpoint = load_checkpoint(saved)
    assert checkpoint.epoch == 3
    assert checkpoint.meta == {"recipe": {"lr": 0.1}}
    assert_same(checkpoint.tensors, TENSORS)


def test_loaded_tensors_are_ones_own_to_change(saved: Path) -> None:
    model = load_checkpoint(saved).tensors["model"]
    assert not isinstance(model, Tensor)
    weight = model["a.weight"]
    assert isinstance(weight, Tensor)
    weight.add_(1)
    assert_same(load_checkpoint(saved).tensors, TENSORS)


def test_the_same_state_is_the_same_file_and_nothing_else_is_left(saved: Path) -> None:
    again = save_checkpoint(saved.parent, epoch=3, tensors=TENSORS, meta={"recipe": {"lr": 0.1}})
    assert again == str(saved)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    assert saved.name.startswith("epoch-000003-")


@pytest.mark.parametrize("place", [0, 20, 0.5, -1])
def test_a_flipped_bit_is_refused(saved: Path, place: float) -> None:
    content = bytearray(saved.read_bytes())
    position = int(place * len(content)) if isinstance(place, float) else place
    content[position] ^= 1
    saved.write_bytes(content)
    with pytest.raises(CheckpointError, match="torn or altered"):
        load_checkpoint(saved)


@pytest.mark.parametrize("kept", [0, 1, 0.5, -1])
def test_a_torn_file_is_refused(saved: Path, kept: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(CheckpointError, match="torn or altered"):
        load_checkpoint(saved)


def test_another_checkpoints_content_is_refused(saved: Path) -> None:
    other = save_checkpoint(saved.parent, epoch=4, tensors={"epoch": torch.tensor(4)}, meta={})
    saved.write_bytes(Path(other).read_bytes())
    with pytest.raises(CheckpointError, match="torn or altered"):
        load_checkpoint(saved)


def test_a_file_of_another_name_and_a_missing_file_are_refused(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="must be named"):
        load_checkpoint(saved.rename(saved.with_name("model.safetensors")))
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        load_checkpoint(saved)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot be written: (Not a dir|File exists)"):
        save_checkpoint(tmp_path / "file" / "below", epoch=1, tensors=TENSORS, meta={})


def test_a_full_disk_leaves_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(StoreError, match="No space left on device"):
        save_checkpoint(tmp_path, epoch=1, tensors=TENSORS, meta={})
    assert list(tmp_path.iterdir()) == []
