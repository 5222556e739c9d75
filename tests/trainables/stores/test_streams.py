from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image

from search_spaces import DataSpec, Recipe
from trainables.errors import DataError
from trainables.stores import Capacity
from trainables.stores.plans import plan_store
from trainables.stores.prepared import PreparedData, prepare_data, survey_data
from trainables.stores.streams import StreamedImages
from trainables.training.trainer import Trainer

LARGE = Capacity(free_disk=100 * 10**9, memory=16 * 10**9)


@pytest.fixture
def photos(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "photos"))


def both(source: str, base_dir: Path) -> tuple[PreparedData, PreparedData]:
    """Return the same images decoded and streamed."""
    root = base_dir / "prepared"
    decoded = prepare_data(DataSpec(source=source, image_size=24), base_dir=base_dir, root=root)
    streamed = prepare_data(DataSpec(source=source, image_size=24, disk=1000), base_dir=base_dir, root=root)
    assert (decoded.mode, streamed.mode) == ("decoded", "streamed")
    return decoded, streamed


def test_streamed_images_have_the_pixels_of_decoded_ones(photos: Path) -> None:
    (photos / "two" / "007.png").write_bytes(b"")  # skipped in both
    decoded, streamed = both("photos", photos.parent)

    assert isinstance(streamed.images, StreamedImages)
    assert streamed.images.shape == decoded.images.shape == (119, 24, 24, 3)
    assert streamed.skipped == decoded.skipped
    assert streamed.digest == decoded.digest
    assert np.array_equal(streamed.images[:], decoded.images[:])
    rows = np.array([5, 118, 0, 5])
    assert np.array_equal(streamed.images[rows], decoded.images[rows])
    assert np.array_equal(streamed.images[-1], decoded.images[-1])
    assert streamed.images[rows[:0]].shape == (0, 24, 24, 3)
    assert not (streamed.folder / "images.npy").exists()


def test_arrays_are_streamed_too(tmp_path: Path) -> None:
    decoded, streamed = both("digits", tmp_path)

    assert streamed.digest == decoded.digest
    assert np.array_equal(streamed.images[::50], decoded.images[::50])
    assert (streamed.folder / "originals.bin").stat().st_size == 1797 * 64


def test_training_is_the_same_in_both_modes(photos: Path) -> None:
    recipe = Recipe.from_flat({"weights": "random", "freeze_depth": -1, "augment.policy": "lecture7"})
    results = []
    for data in both("photos", photos.parent):
        trainer = Trainer(data, recipe, seed=3)
        results.append([trainer.run_epoch() for _ in range(2)])

    decoded, streamed = results
    assert [result.train for result in streamed] == [result.train for result in decoded]
    assert streamed[-1].val.probabilities.tobytes() == decoded[-1].val.probabilities.tobytes()


def test_several_threads_give_the_same_pixels(photos: Path) -> None:
    decoded, streamed = both("photos", photos.parent)
    torch.set_num_threads(2)
    try:
        assert np.array_equal(streamed.images[:40], decoded.images[:40])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_a_changed_or_missing_file_is_an_error_that_names_it(photos: Path) -> None:
    _, streamed = both("photos", photos.parent)
    first, second = photos / "one" / "000.png", photos / "one" / "001.png"
    Image.fromarray(255 - np.asarray(Image.open(first))).save(first)
    second.unlink()

    with pytest.raises(DataError, match=r"one/000\.png: changed since the images were prepared"):
        _ = streamed.images[0]
    with pytest.raises(DataError, match=r"one/001\.png: No such file"):
        _ = streamed.images[np.array([1])]
    assert streamed.images[2].shape == (24, 24, 3)


def test_files_behind_a_uri_are_streamed(photos: Path) -> None:
    target = fsspec.filesystem("memory")
    target.put(str(photos), "/streamed", recursive=True)
    decoded, streamed = both("memory://streamed", photos.parent)
    local = prepare_data(
        DataSpec(source="photos", image_size=24), base_dir=photos.parent, root=photos.parent / "prepared"
    )

    assert np.array_equal(streamed.images[:], local.images[:])
    assert streamed.digest == decoded.digest == local.digest


def test_a_damaged_list_of_sources_is_an_error(photos: Path) -> None:
    _, streamed = both("photos", photos.parent)
    (streamed.folder / "sources.json").write_text("[")

    with pytest.raises(DataError, match="prepared data is missing or damaged"):
        PreparedData.open(streamed.folder, streamed.split_key)


@pytest.mark.parametrize(
    ("images", "given", "capacity", "mode", "reason"),
    [
        (
            2624,
            {},
            LARGE,
            "decoded",
            "2,624 images at 384 px take 1.16 GB decoded, "
            "within half of the 100 GB of free disk and the 16 GB of memory",
        ),
        (
            200_000,
            {},
            LARGE,
            "streamed",
            "200,000 images at 384 px take 88.5 GB decoded, more than half of the 100 GB of free disk",
        ),
        (
            200_000,
            {"disk": 20 * 10**9},
            LARGE,
            "streamed",
            "200,000 images at 384 px take 88.5 GB decoded, more than data.disk (20 GB)",
        ),
        (
            50_000,
            {},
            LARGE,
            "streamed",
            "50,000 images at 384 px take 22.1 GB decoded, more than the 16 GB of memory",
        ),
        (
            50_000,
            {"memory": 30 * 10**9, "disk": 25 * 10**9},
            LARGE,
            "decoded",
            "50,000 images at 384 px take 22.1 GB decoded, within data.disk (25 GB) and data.memory (30 GB)",
        ),
        (
            50_000,
            {"disk": 10**12},
            dataclasses.replace(LARGE, free_disk=10**9),
            "streamed",
            "50,000 images at 384 px take 22.1 GB decoded, more than the 1 GB of free disk (data.disk: 1 TB)",
        ),
    ],
)
def test_the_plan_gives_the_mode_and_the_reason(
    images: int, given: dict[str, int], capacity: Capacity, mode: str, reason: str
) -> None:
    plan = plan_store(images=images, image_size=384, capacity=capacity, **given)

    assert (plan.mode, plan.reason) == (mode, reason)
    assert plan.decoded_bytes == images * 384 * 384 * 3


def test_the_plan_decodes_nothing_and_is_carried_out(photos: Path) -> None:
    root = photos.parent / "prepared"
    data = DataSpec(source="photos", image_size=24, memory=200_000)
    plan = survey_data(data, base_dir=photos.parent, root=root).plan

    assert plan.mode == "streamed"
    assert "120 images at 24 px take 207 KB decoded, more than data.memory (200 KB)" in plan.reason
    assert not root.exists()
    assert prepare_data(data, base_dir=photos.parent, root=root).summary()["mode"] == "streamed"
