"""NumPy files with images and labels, with splits and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

import trainables.datasets.arrays as arrays
from search_spaces import DataSpec
from search_spaces.sweeps import DataColumns
from trainables.datasets import ImageTable
from trainables.datasets.images import decode_image
from trainables.datasets.sources import load_table
from trainables.errors import DataError
from trainables.stores.prepared import prepare_data
from trainables.stores.unpacked import KeptFiles

GREY = np.random.default_rng(0).integers(0, 256, (12, 9, 7), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (12, 9, 7, 3), dtype=np.uint8)
THREE = np.arange(12) % 3


def load(place: object, **options: object) -> ImageTable:
    return load_table(str(place), base_dir=Path(), **options)  # type: ignore[arg-type]


def save(path: Path, *unnamed: Any, compressed: bool = False, **named: Any) -> Path:
    (np.savez_compressed if compressed else np.savez)(path, *unnamed, **named)
    return path


def medical(path: Path, images: np.ndarray = GREY, *, compressed: bool = True) -> Path:
    """Write a file as MedMNIST has it: three splits, labels (N, 1)."""
    parts = {"train": slice(6), "val": slice(6, 9), "test": slice(9, 12)}
    named = {f"{split}_images": images[rows] for split, rows in parts.items()}
    named |= {f"{split}_labels": THREE[rows, None].astype(np.uint8) for split, rows in parts.items()}
    return save(path, compressed=compressed, **named)


@pytest.mark.parametrize("images", [GREY, RGB], ids=["grey", "rgb"])
@pytest.mark.parametrize("large", [False, True])
def test_the_splits_of_medmnist_are_kept(
    tmp_path: Path, images: np.ndarray, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "_MOST_IN_MEMORY", 0 if large else 2**20)
    table = load(medical(tmp_path / "blood.npz", images), unpacked=KeptFiles(tmp_path / "kept"))

    assert table.name == "blood"
    assert table.classes == ("0", "1", "2")
    assert table.labels.tolist() == THREE.tolist()
    assert table.split is not None
    assert table.split.tolist() == [""] * 6 + ["val"] * 3 + ["test"] * 3
    assert (table.names[0], table.names[11]) == ("train_images/000000", "test_images/000002")
    assert np.array_equal(np.stack([image for image in table.images if isinstance(image, np.ndarray)]), images)
    assert table.layout.startswith("arrays train_images with train_labels, val_images with")
    assert (tmp_path / "kept").exists() == large


def test_arrays_are_decoded_like_files(tmp_path: Path) -> None:
    named: dict[str, Any] = {f"{split}_{part}": values for split in ("train", "val", "test")
             for part, values in (("images", RGB), ("labels", THREE))}  # fmt: skip
    source = save(tmp_path / "x.npz", **named)
    data = prepare_data(DataSpec(source=str(source), image_size=8), base_dir=tmp_path, root=tmp_path / "store")

    assert {split: len(rows) for split, rows in data.splits.items()} == {
        "train": 9,
        "val": 12,
        "confirm": 3,
        "test": 12,
    }
    assert np.array_equal(data.images[data.splits["val"][4]], decode_image(RGB[4], 8))


@pytest.mark.parametrize(
    ("named", "split"),
    [
        ({"x_train": GREY, "y_train": THREE, "x_test": GREY, "y_test": THREE}, ["", "test"]),
        ({"X_train": GREY, "Y_train": THREE, "X_val": GREY, "Y_val": THREE}, ["", "val"]),
        ({"trainImages": GREY, "trainLabels": THREE, "testImages": GREY, "testLabels": THREE}, ["", "test"]),
        ({"train_x": GREY, "train_y": THREE, "test_x": GREY}, None),
        ({"images": GREY, "labels": THREE}, None),
        ({"data": GREY, "target": THREE}, None),
        ({"arr_0": GREY, "arr_1": THREE}, None),
        ({"arr_1": GREY[..., None], "arr_0": THREE.astype(float)}, None),
        ({"volumes": RGB.transpose(0, 3, 1, 2).astype(np.int64), "grades": THREE}, None),
    ],
)
def test_usual_names_of_arrays(tmp_path: Path, named: dict[str, Any], split: list[str] | None) -> None:
    table = load(save(tmp_path / "x.npz", **named))

    assert table.labels.tolist()[:12] == THREE.tolist()
    assert (None if table.split is None else list(dict.fromkeys(table.split.tolist()))) == split
    wanted = RGB if "volumes" in named else GREY
    image = table.images[5]
    assert isinstance(image, np.ndarray)
    assert np.array_equal(np.squeeze(image), wanted[5])


def test_the_sweep_file_names_arrays(tmp_path: Path) -> None:
    scans: dict[str, Any] = {
        "train_scans": GREY,
        "train_grade": THREE,
        "train_side": THREE % 2,
        "val_scans": GREY,
        "val_grade": THREE,
    }
    source = save(tmp_path / "x.npz", **scans)

    table = load(source, columns=DataColumns(image="scans", label="grade"))
    assert table.split is not None
    assert table.split.tolist() == [""] * 12 + ["val"] * 12
    assert [(group.files, group.examples) for group in table.left_out] == [(1, ("train_side",))]
    assert load(source, columns=DataColumns(image="train_scans", label="train_side")).classes == ("0", "1")
    with pytest.raises(DataError, match=r"must have arrays of images and labels.* did you mean train_scans\?"):
        load(source, columns=DataColumns(image="train_scan", label="grade"))


def test_labels_of_text_one_hot_and_with_names(tmp_path: Path) -> None:
    names = np.array(["owl", "wren", "robin"])
    texts = load(save(tmp_path / "a.npz", images=GREY, labels=names[THREE]))
    encoded = load(save(tmp_path / "b.npz", images=GREY, labels=names[THREE].astype("S")))
    hot = load(save(tmp_path / "c.npz", images=GREY, labels=np.eye(3)[THREE]))
    named = load(save(tmp_path / "d.npz", images=GREY, labels=THREE, class_names=names))
    signed = load(save(tmp_path / "e.npz", images=GREY, labels=np.where(THREE == 0, -1, 1)))
    many = load(save(tmp_path / "f.npz", images=GREY, labels=np.arange(12)))

    assert texts.classes == encoded.classes == ("owl", "robin", "wren")
    assert texts.labels.tolist()[:3] == [0, 2, 1]
    assert (hot.classes, hot.labels.tolist()) == (("0", "1", "2"), THREE.tolist())
    assert (named.classes, named.labels.tolist(), named.left_out) == (("owl", "wren", "robin"), THREE.tolist(), ())
    assert signed.classes == ("-1", "1")
    assert many.classes == tuple(map(str, range(12)))


def test_arrays_behind_uris(tmp_path: Path) -> None:
    content = medical(tmp_path / "blood.npz").read_bytes()
    fsspec.filesystem("memory").pipe("/arrays/blood.npz", content)

    table = load("memory://arrays/blood.npz")

    assert (table.name, len(table.images)) == ("blood", 12)
    with pytest.raises(DataError, match=r"no such file: memory://arrays/skin\.npz"):
        load("memory://arrays/skin.npz")


SEVERAL = np.random.default_rng(2).integers(0, 2, (12, 14))


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (
            {"images": GREY, "labels": SEVERAL},
            r"labels must be one class .* not \(12, 14\): images with several labels",
        ),
        ({"images": GREY, "labels": np.array(list("abc") * 4, dtype=object)}, r"labels must hold numbers or text, not"),
        ({"images": GREY, "labels": THREE[:-1]}, r"images and labels must have as many rows \(12 and 11\)"),
        ({"images": GREY / 255, "labels": THREE}, r"images must hold whole numbers from 0 to 255 \(float64, 0 to 1\)"),
        ({"images": GREY.astype(np.uint16) * 257, "labels": THREE}, r"from 0 to 255 \(uint16, .* to 65535\)"),
        ({"images": GREY > 9, "labels": THREE}, r"from 0 to 255 \(bool, 0 to 1\)"),
        ({"images": GREY.reshape(12, -1), "labels": THREE}, r"images must be \(N, H, W\), .* \(\(12, 63\)\)"),
        ({"images": np.zeros((12, 8, 8, 8), np.uint8), "labels": THREE}, r"images must be .* \(\(12, 8, 8, 8\)\)"),
        ({"images": GREY.astype("U3"), "labels": THREE}, r"images must hold pixels as numbers \(<U3\)"),
        ({"images": GREY, "labels": np.full(12, np.nan)}, r"labels must hold whole numbers or text \(NaN\)"),
        ({"images": GREY, "labels": THREE + 0.5}, r"labels must hold whole numbers or text \(0\.5\)"),
        ({"images": GREY, "labels": THREE * 0}, r"at least two classes \(only 0\)"),
        (
            {"images": GREY, "labels": THREE, "class_names": np.array(["a", "b"])},
            r"each label, 0 to 2, must have a class name \(2 names",
        ),
        ({"images": GREY, "image": GREY, "labels": THREE}, r"data\.columns\.image must name one of images, image"),
        ({"a": GREY, "b": GREY, "c": THREE}, r"\(a \(12, 9, 7\), b \(12, 9, 7\), c \(12,\)\): name them"),
        ({}, r"must have arrays of images and labels, .* \(no arrays\)"),
    ],
)
def test_mistakes(tmp_path: Path, named: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"^data\.source: .*x\.npz.*{message}") as caught:
        load(save(tmp_path / "x.npz", **named))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_npz(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"none")
    with pytest.raises(DataError, match=r"x\.npz must be a whole \.npz file"):
        load(tmp_path / "x.npz")
    whole = medical(tmp_path / "y.npz").read_bytes()
    (tmp_path / "y.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"y\.npz must be a whole \.npz file"):
        load(tmp_path / "y.npz")
    with pytest.raises(DataError, match=r"data\.source: no such file: .*z\.npz"):
        load(tmp_path / "z.npz")
    with pytest.raises(DataError, match=r"data\.layout: only image folders have one"):
        load(medical(tmp_path / "x.npz"), layout="class")
    with pytest.raises(DataError, match=r"data\.split\.group: only a manifest or metadata file has columns"):
        load(medical(tmp_path / "x.npz"), group="patient")
