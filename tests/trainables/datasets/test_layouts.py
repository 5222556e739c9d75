"""Folders that are classes, splits, or both."""

from __future__ import annotations

import io
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from search_spaces import DataSpec, SplitSpec
from trainables.datasets import ImageTable
from trainables.datasets.layouts import find_layout, split_named_by
from trainables.datasets.sources import load_table
from trainables.errors import DataError
from trainables.stores.prepared import prepare_data

TRAIN = ["train", "Training", "seg_train", "my_train", "TRAIN", "trainset", "train-images", "01_Train", "TrainData"]
VAL = ["val", "valid", "Validation", "my_val", "dev"]
TEST = ["test", "Testing", "seg_test", "TestSet", "holdout", "evaluation"]
CLASSES = ["cat", "dog", "train station", "glioma_tumor", "4"]


def put(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(path, format="PNG")
    return root


def load(root: Path, **options: str) -> ImageTable:
    return load_table(str(root), base_dir=root, **options)  # type: ignore[arg-type]


def left_out(table: ImageTable) -> list[tuple[int, str, tuple[str, ...]]]:
    return [(group.files, group.reason, group.examples) for group in table.left_out]


def by_split(table: ImageTable) -> dict[str, int]:
    splits = table.split.tolist() if table.split is not None else [""] * len(table.images)
    return {split: splits.count(split) for split in sorted(set(splits))}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, "train") for name in (*TRAIN, "train_val", "trainval")),
        *((name, "val") for name in VAL),
        *((name, "test") for name in TEST),
        ("seg_pred", "unlabelled"),
        ("test-unlabeled", "unlabelled"),
        ("train_test", None),
        ("trainer", None),
        ("latest", None),
        ("invalid", None),
        ("cat", None),
    ],
)
def test_names_tell_splits_by_their_words(name: str, split: str | None) -> None:
    assert split_named_by(name) == split


@given(
    train=st.sampled_from(TRAIN),
    others=st.lists(st.sampled_from([*VAL, *TEST]), unique=True, max_size=3),
    classes=st.lists(st.sampled_from(CLASSES), unique=True, min_size=2),
    base=st.sampled_from(["", "archive/", "data/images/"]),
    deeper=st.sampled_from(["", "old/"]),
)
def test_folders_with_names_of_splits_and_the_same_class_folders_are_splits(
    train: str, others: list[str], classes: list[str], base: str, deeper: str
) -> None:
    images = [
        f"{base}{split}/{label}/{deeper}{n}.png" for split in (train, *others) for label in classes for n in range(2)
    ]
    turned = [
        f"{base}{label}/{split}/{deeper}{n}.png" for split in (train, *others) for label in classes for n in range(2)
    ]

    outer, inner = find_layout(images), find_layout(turned)

    for image, other in zip(images, turned, strict=True):
        split, label = image.removeprefix(base).split("/")[:2]
        wanted = split_named_by(split) if others else ""  # a single folder is entered
        assert outer.locate(image) == (label, wanted)
        assert inner.locate(other) == (label, split_named_by(split))
    assert inner.kind == "class/split"


@given(st.sets(st.text(alphabet="abcdelnrstv", min_size=1, max_size=6), min_size=2, max_size=5))
def test_other_names_are_classes(names: set[str]) -> None:
    if all(split_named_by(name) for name in names):
        return
    layout = find_layout([f"{name}/{n}.png" for name in names for n in range(2)])

    assert layout.kind == "class"
    assert {layout.locate(f"{name}/0.png") for name in names} == {(name, "") for name in names}


@pytest.mark.parametrize(
    ("splits", "named"),
    [
        (("Training", "Testing"), {"": 4, "test": 4}),
        (("Train", "Test"), {"": 4, "test": 4}),
        (("seg_train/seg_train", "seg_test/seg_test"), {"": 4, "test": 4}),
        (("my_train", "my_val", "my_test"), {"": 4, "test": 4, "val": 4}),
    ],
)
def test_splits_of_folders_keep_their_roles(tmp_path: Path, splits: tuple[str, ...], named: dict[str, int]) -> None:
    root = put(tmp_path / "x", *(f"{s}/{c}/{n}.png" for s in splits for c in ("cat", "dog") for n in range(2)))
    table = load(root)

    assert table.classes == ("cat", "dog")
    assert by_split(table) == named
    assert table.layout.startswith("split/class, ")


def test_folders_without_labels_are_left_out_by_name(tmp_path: Path) -> None:
    root = put(tmp_path / "x", *(f"seg_{s}/{c}/{n}.png" for s in ("train", "test") for c in "ab" for n in range(3)))
    put(root, "seg_pred/1.png", "seg_pred/2.png", "seg_pred/3.png", "seg_pred/4.png", "cover.png", "seg_train/5.png")

    table = load(root)

    assert by_split(table) == {"": 6, "test": 6}
    assert left_out(table) == [
        (4, "in seg_pred, which is no split with classes", ("seg_pred/1.png", "seg_pred/2.png", "seg_pred/3.png")),
        (1, "in seg_train, but in none of its class folders", ("seg_train/5.png",)),
        (1, "not in a class folder", ("cover.png",)),
    ]


def test_test_images_without_class_folders_are_left_out(tmp_path: Path) -> None:
    root = put(tmp_path / "x", "train/a/1.png", "train/b/1.png", "test/1.png", "test/2.png", "meta/1.png")

    table = load(root)

    assert by_split(table) == {"": 2}
    assert [(group.reason, group.files) for group in table.left_out] == [
        ("in test, which is no split with classes", 2),
        ("in meta, which is no split with classes", 1),
    ]


def test_missing_splits_are_cut_from_the_training_images(tmp_path: Path) -> None:
    root = put(tmp_path / "x", *(f"Training/{c}/{n}.png" for c in "ab" for n in range(40)))
    put(root, *(f"Testing/{c}/{n}.png" for c in "ab" for n in range(10)))
    spec = DataSpec(source=str(root), image_size=8)

    data = prepare_data(spec, base_dir=tmp_path, root=tmp_path / "store")

    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 56, "val": 16, "confirm": 8, "test": 20}
    assert all(load(root).names[row].startswith("Testing/") for row in data.splits["test"])


def test_images_are_known_by_their_content(tmp_path: Path) -> None:
    root = put(tmp_path / "x", "a/1.png", "a/2.jfif", "a/3", "b/4.dat", "b/5.bin", "b/.6.png")
    Image.new("L", (4, 4)).save(root / "b" / "7.ico")
    (root / "b" / "notes.txt").write_text("P5 is a chord")
    (root / "a" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")

    table = load(root)

    assert table.names == ("a/1.png", "a/2.jfif", "a/3", "b/4.dat", "b/5.bin", "b/7.ico")
    assert left_out(table) == [(2, "not an image", ("a/Thumbs.db", "b/notes.txt")), (1, "hidden", ("b/.6.png",))]
    assert len(prepare_data(DataSpec(source=str(root), image_size=8, split=SplitSpec(val=0.3, confirm=0.0, test=0.0)),
                            base_dir=tmp_path, root=tmp_path / "store").labels) == 6  # fmt: skip


def test_a_vehicle_called_train_is_a_class(tmp_path: Path) -> None:
    root = put(tmp_path / "x", "bus/1.png", "car/1.png", "train/1.png", "train/old/2.png")

    assert load(root).classes == ("bus", "car", "train")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train/steam/1.png", "train/new/1.png", "bus/1.png"), "holds train, which looks like a split .* and bus"),
        (("train/1.png", "test/1.png"), "holds splits .test, train., not classes"),
        (("val/a/1.png", "val/b/1.png", "test/a/1.png"), "no folder of training images"),
        (("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png"), "class folders of test .* .c."),
        (("train/a/1.png", "train/b/1.png", "test/a/1.png", "more/a/1.png"), "more holds the same class folders"),
        (("train/a/1.png", "valid/a/1.png"), "at least two class folders"),
    ],
)
def test_what_can_be_read_in_several_ways_is_asked(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=rf"data\.source: .*{message}"):
        load(put(tmp_path / "x", *names))


def test_the_sweep_file_says_outright_how_folders_are_meant(tmp_path: Path) -> None:
    root = put(tmp_path / "x", "train/steam/1.png", "train/new/1.png", "bus/red/1.png")

    assert load(root, layout="class").classes == ("bus", "train")
    splits = load(root, layout="split/class")
    assert splits.classes == ("new", "steam")
    assert [group.reason for group in splits.left_out] == ["in bus, which is no split with classes"]
    with pytest.raises(DataError, match=r"no class folder holds a folder of training images"):
        load(root, layout="class/split")
    with pytest.raises(DataError, match=r"data\.layout: only image folders have one, digits is none"):
        load_table("digits", base_dir=tmp_path, layout="class")


def test_a_split_of_test_images_needs_every_class_in_val_only(tmp_path: Path) -> None:
    names = [f"{s}/{c}/{n}.png" for s in ("train", "val", "test") for c in "ab" for n in range(4)]
    root = put(tmp_path / "x", *(name for name in names if not name.startswith("val/b")))

    with pytest.raises(DataError, match=r"the source's own splits must give `val` .* .none of 'b'."):
        prepare_data(DataSpec(source=str(root), image_size=8), base_dir=tmp_path, root=tmp_path / "store")


def test_the_same_rules_hold_behind_a_uri() -> None:
    pixels = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(pixels, format="PNG")
    files = fsspec.filesystem("memory")
    names = ("Training/a/1.png", "Training/b/1", "Testing/a/1.jfif", "Testing/b/1.png")
    for name in names:
        files.pipe(f"/layouts/x/{name}", pixels.getvalue())
    files.pipe("/layouts/x/Training/a/notes.md", b"none")
    files.pipe("/layouts/x/Training/a/.DS_Store", b"none")

    table = load_table("memory://layouts/x", base_dir=Path())

    assert set(table.names) == set(names)
    assert by_split(table) == {"": 2, "test": 2}
    assert left_out(table) == [
        (1, "hidden", ("Training/a/.DS_Store",)),
        (1, "not an image", ("Training/a/notes.md",)),
    ]
