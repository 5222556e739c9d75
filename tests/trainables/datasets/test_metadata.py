"""Metadata files beside images, as in Hugging Face's ImageFolder."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pytest
from PIL import Image

from search_spaces.sweeps import DataColumns
from trainables.datasets import ImageTable
from trainables.datasets.sources import load_table
from trainables.errors import DataError


def put(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 20 * number).save(folder / name)
    return folder


def write(file: Path, header: str, *rows: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([header, *rows]) + "\n")


def load(folder: Path, **options: object) -> ImageTable:
    return load_table(str(folder), base_dir=folder, **options)  # type: ignore[arg-type]


def described(table: ImageTable) -> list[tuple[str, str, str]]:
    splits = [""] * len(table.names) if table.split is None else table.split.tolist()
    return [
        (name, table.classes[label], split)
        for name, label, split in zip(table.names, table.labels, splits, strict=True)
    ]


def reasons(table: ImageTable) -> dict[str, tuple[str, ...]]:
    return {group.reason: group.examples for group in table.left_out}


def test_a_metadata_file_names_the_labels_of_images_beside_it(tmp_path: Path) -> None:
    root = put(tmp_path / "pets", "1.png", "2.png", "more/3.png", "4.png")
    write(root / "metadata.csv", "file_name,text,label", "1.png,a small pug,dog", "2.png,a cat,cat", "more/3.png,x,dog")

    table = load(root)

    assert table.name == "pets"
    assert described(table) == [("1.png", "dog", ""), ("2.png", "cat", ""), ("more/3.png", "dog", "")]
    assert list(table.images) == [root / name for name in table.names]
    assert table.layout == "metadata.csv: images in `file_name`, labels in `label`"
    assert reasons(table) == {"in no metadata file with labels": ("4.png",)}


def test_each_folder_of_a_split_may_have_its_own(tmp_path: Path) -> None:
    root = put(tmp_path, "data/Train/1.png", "data/Train/2.png", "data/test/1.png", "data/pred/7.png")
    lines = [{"file_name": "1.png", "breed": "pug", "objects": {"bbox": []}}, {"file_name": "2.png", "breed": "lab"}]
    (root / "data/Train/metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    write(root / "data/test/metadata.csv", "breed;file_name", "lab;1.png")
    write(root / "data/pred/metadata.csv", "file_name", "7.png")

    table = load(root, columns=DataColumns(label="breed"))

    assert described(table) == [
        ("data/Train/1.png", "pug", ""),
        ("data/Train/2.png", "lab", ""),
        ("data/test/1.png", "lab", "test"),
    ]
    assert table.layout == (
        "data/Train/metadata.jsonl, data/test/metadata.csv: images in `file_name`, labels in `breed`"
    )
    assert reasons(table) == {"in no metadata file with labels": ("data/pred/7.png",)}


def test_folders_name_the_splits_of_one_file_for_all(tmp_path: Path) -> None:
    root = put(tmp_path, "train/1.png", "train/2.png", "val/1.png", "predict/1.png")
    rows = ["train/1.png,a", "train/2.png,b", "val/1.png,a", "predict/1.png,b"]
    write(root / "metadata.csv", "file_name,label", *rows)

    table = load(root)

    assert described(table) == [("train/1.png", "a", ""), ("train/2.png", "b", ""), ("val/1.png", "a", "val")]
    assert reasons(table) == {"in predict, which is no split with labels": ("predict/1.png",)}
    write(root / "metadata.csv", "file_name,label,split", *(f"{row},{s}" for row, s in zip(rows, "tttt", strict=True)))
    with pytest.raises(DataError, match=r"metadata\.csv:2: split: must be one of .* \(t\), and 3 more"):
        load(root)


def test_folders_name_the_classes_if_no_label_is_plain(tmp_path: Path) -> None:
    root = put(tmp_path, "cat/1.png", "dog/2.png")
    write(root / "metadata.csv", "file_name,text,author", "cat/1.png,x,me", "dog/2.png,y,you")

    assert load(root).layout == "class"
    assert load(root, columns=DataColumns(label="author")).classes == ("me", "you")
    write(root / "metadata.csv", "file_name,label", "cat/1.png,tabby", "dog/2.png,pug")
    assert load(root).classes == ("pug", "tabby")
    assert load(root, layout="class").classes == ("cat", "dog")
    write(root / "metadata.csv", "name,label", "cat/1.png,tabby", "dog/2.png,pug")
    assert load(root).classes == ("cat", "dog")


def test_without_classes_the_message_asks_for_the_label(tmp_path: Path) -> None:
    root = put(tmp_path, "1.png", "2.png", "3.png")
    write(root / "metadata.csv", "file_name,breed,author", "1.png,a,me", "2.png,a,you", "3.png,b,me")

    with pytest.raises(DataError, match=r"metadata\.csv:1: several .* \(breed, author\): .* `columns: {label: breed}`"):
        load(root)
    assert load(root, columns=DataColumns(label="breed"), group="author").groups is not None
    write(root / "metadata.csv", "file_name,label", "1.png,a", "2,b", "9.png,b", "8.png,b")
    with pytest.raises(DataError, match=r"metadata\.csv:4: file_name: no such file \(9.png\), and 1 more \(line 5: 8"):
        load(root)


def test_metadata_behind_a_uri_is_read(tmp_path: Path) -> None:
    root = put(tmp_path / "pets", "train/1.png", "train/2.png")
    write(root / "train/metadata.csv", "file_name,label", "1.png,a", "2.png,b")
    fsspec.filesystem("memory").put(str(root), "/beside", recursive=True)

    table = load_table("memory://beside", base_dir=tmp_path)

    assert described(table) == [("train/1.png", "a", ""), ("train/2.png", "b", "")]
    assert str(table.images[0]) == "memory://beside/train/1.png"
