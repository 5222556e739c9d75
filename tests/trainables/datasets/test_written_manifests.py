"""Manifests that are written of other sources say what these say."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import fsspec
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from trainables.datasets import ImageTable
from trainables.datasets.manifests import manifest_text
from trainables.datasets.sources import load_table
from trainables.errors import DataError

_STREAM = io.BytesIO()
Image.new("L", (2, 2)).save(_STREAM, "png")
PIXELS = _STREAM.getvalue()

names = st.text("aBé1 ,;|\t\"'\\#=.\n", min_size=1, max_size=5).filter(
    lambda name: name == name.strip() and not name.startswith(".")
)
splits = st.sampled_from(["train", "Training", "val", "test", "seg_test", "pred"])


def rows(table: ImageTable) -> list[tuple[Path, str, str]]:
    named = [""] * len(table.names) if table.split is None else table.split.tolist()
    labels = [table.classes[code] for code in table.labels]
    images = [Path(str(image)).absolute() for image in table.images]
    return list(zip(images, labels, named, strict=True))


@given(
    classes=st.dictionaries(names, st.sets(names, min_size=1), min_size=2),
    parts=st.none() | st.lists(splits, min_size=1, max_size=3, unique=True),
    place=st.sampled_from(["", "set", "lists"]),
)
@settings(max_examples=40, deadline=None)
def test_a_manifest_of_a_folder_gives_the_same_images_labels_and_splits(
    classes: dict[str, set[str]], parts: list[str] | None, place: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        (base / "lists").mkdir()
        for folder, images in classes.items():
            for part in parts or [""]:
                (base / "set" / part / folder).mkdir(parents=True)
                for image in images:
                    (base / "set" / part / folder / f"{image}.png").write_bytes(PIXELS)
        try:
            table = load_table("set", base_dir=base)
            written = manifest_text(table, base / "set", base / place)
        except DataError:
            assume(False)
        (base / place / "list.csv").write_text(written.text, encoding="utf-8")

        again = load_table("list.csv", base_dir=base / place, root=written.root)

        assert rows(again) == rows(table)
        assert again.classes == table.classes
        assert (again.names == table.names) is (place != "")
        assert (written.root is not None) is (place == "lists")


def test_training_images_stay_divided_beside_given_splits(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        for label in ("a", "b"):
            (tmp_path / part / label).mkdir(parents=True)
            (tmp_path / part / label / "1.png").write_bytes(PIXELS)
    whole = manifest_text(load_table(str(tmp_path), base_dir=tmp_path), tmp_path, tmp_path).text
    for label in ("a", "b"):
        (tmp_path / "val" / label / "1.png").unlink()
    cut = manifest_text(load_table(str(tmp_path), base_dir=tmp_path), tmp_path, tmp_path).text

    assert "train/a/1.png,a,\n" in whole
    assert "val/a/1.png,a,val\n" in whole
    assert "train/a/1.png,a,train\n" in cut


def test_images_behind_a_uri_are_listed_with_their_root(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("a/1.png", "b/1.png"):
        memory.pipe(f"/written/{name}", PIXELS)
    table = load_table("memory://written", base_dir=tmp_path)

    written = manifest_text(table, "memory://written", tmp_path)
    (tmp_path / "list.csv").write_text(written.text)

    assert written.root == "memory://written"
    assert load_table("list.csv", base_dir=tmp_path, root=written.root).images == table.images


def test_what_cannot_stand_in_a_manifest_is_refused(tmp_path: Path) -> None:
    def refusal() -> str:
        table = load_table(str(tmp_path), base_dir=tmp_path)
        with pytest.raises(DataError) as refused:
            manifest_text(table, tmp_path, tmp_path)
        return str(refused.value)

    for label in ("a", "nan"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.png").write_bytes(PIXELS)
    assert refusal() == "nan cannot stand in a manifest, which has no outer spaces and no nan: rename it"
    (tmp_path / "nan").rename(tmp_path / "b")
    (tmp_path / "b" / "1.png").rename(tmp_path / "b" / "\udcff.png")
    assert refusal().endswith("is not UTF-8: rename the file")
    table = pyarrow.table({"image": [PIXELS] * 2, "label": ["a", "b"]})
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    assert "are no files of their own" in refusal()
    with pytest.raises(DataError, match="digits are no files of their own"):
        manifest_text(load_table("digits", base_dir=tmp_path), tmp_path, tmp_path)
