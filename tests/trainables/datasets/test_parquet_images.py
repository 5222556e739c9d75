"""Parquet files that hold images: columns, classes, splits, and their pixels."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from search_spaces import DataSpec
from search_spaces.sweeps import DataColumns
from trainables.datasets import ImageTable
from trainables.datasets.images import decode_image
from trainables.datasets.sources import load_table
from trainables.errors import DataError
from trainables.stores.prepared import prepare_data


def picture(number: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (20, 24, 3), dtype=np.uint8))


def encoded(number: int) -> bytes:
    stream = io.BytesIO()
    picture(number).save(stream, "PNG")
    return stream.getvalue()


def write(
    path: Path,
    labels: Sequence[object],
    *,
    first: int = 0,
    names: Sequence[str] | None = None,
    image: str = "image",
    label: str = "label",
    plain: bool = False,
    **more: Sequence[object],
) -> Path:
    """Write rows as the `datasets` package does: images as {bytes, path}, class names in the schema's metadata."""
    contents = [encoded(first + number) for number in range(len(labels))]
    files = contents if plain else [{"bytes": content, "path": None} for content in contents]
    kind = pyarrow.binary() if plain else pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns = {image: pyarrow.array(files, kind), label: pyarrow.array(labels)}
    table = pyarrow.table(columns | {name: pyarrow.array(values) for name, values in more.items()})
    if names is not None:
        features = {image: {"_type": "Image"}, label: {"_type": "ClassLabel", "names": list(names)}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path, row_group_size=5)
    return path


def load(place: Path, **options: object) -> ImageTable:
    return load_table(str(place), base_dir=place.parent, **options)  # type: ignore[arg-type]


def hub_set(root: Path) -> Path:
    write(root / "data/train-00000-of-00002.parquet", [0, 1] * 8, names=("healthy", "rust"))
    write(root / "data/train-00001-of-00002.parquet", [1, 0] * 8, first=16, names=("healthy", "rust"))
    write(root / "data/test-00000-of-00001.parquet", [0, 1, -1, 0], first=40, names=("healthy", "rust"))
    return root


def test_shards_of_a_set_of_the_hub_are_read_with_their_classes_and_splits(tmp_path: Path) -> None:
    table = load(hub_set(tmp_path / "leaves"))

    assert table.name == "leaves"
    assert table.classes == ("healthy", "rust")
    assert table.names[0] == "data/test-00000-of-00001.parquet: row 1"
    assert len(table.names) == 35
    assert table.split is not None
    assert table.split.tolist() == ["test"] * 3 + [""] * 32
    assert table.labels.tolist()[3:7] == [0, 1, 0, 1]
    assert table.layout == "Parquet files with images in `image` and labels in `label`"
    assert [(group.reason, group.files) for group in table.left_out] == [("without a label", 1)]


@pytest.mark.parametrize("streamed", [False, True])
def test_the_pixels_are_those_of_the_files(tmp_path: Path, streamed: bool) -> None:
    root = hub_set(tmp_path / "leaves")
    spec = DataSpec(source=str(root), image_size=16, memory=1 if streamed else None)

    data = prepare_data(spec, base_dir=tmp_path, root=tmp_path / "store")

    table = load(root)
    assert data.mode == ("streamed" if streamed else "decoded")
    for row, number in ((0, 40), (2, 43), (3, 0), (19, 16), (34, 31)):
        assert np.array_equal(data.images[row], decode_image(np.asarray(picture(number)), 16)), table.names[row]


def test_single_files_binary_columns_and_labels_of_text_are_read(tmp_path: Path) -> None:
    file = write(tmp_path / "pets.parquet", ["dog", "cat", None, "dog"], plain=True, image="img", label="class")

    table = load(file)

    assert table.classes == ("cat", "dog")
    assert table.labels.tolist() == [1, 0, 1]
    assert table.split is None


def test_columns_of_splits_and_groups_are_read(tmp_path: Path) -> None:
    more: dict[str, Any] = {"split": ["train", "validation", "test", "Training"], "farm": [1, 2, 3, 1]}
    file = write(tmp_path / "pets.parquet", ["dog", "cat", "cat", "dog"], **more)

    table = load(file, group="farm")

    assert table.split is not None
    assert table.split.tolist() == ["", "val", "test", ""]
    assert table.groups is not None
    assert table.groups.tolist() == ["1", "2", "3", "1"]


def test_the_sweep_file_names_columns_that_can_be_chosen_in_several_ways(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet", [0, 1, 2, 0], label="fine", coarse=["a", "b", "b", "a"])

    with pytest.raises(DataError, match=r"data\.columns\.label must name the column .* one of fine, coarse"):
        load(file)
    assert load(file, columns=DataColumns(label="coarse")).classes == ("a", "b")
    assert load(file, columns=DataColumns(label="fine")).classes == ("0", "1", "2")
    with pytest.raises(DataError, match=r"one of fine, coarse \(corse\)"):
        load(file, columns=DataColumns(label="corse"))
    with pytest.raises(DataError, match=r"data\.columns\.image must name .* one of image \(photo\)"):
        load(file, columns=DataColumns(label="fine", image="photo"))
    with pytest.raises(DataError, match=r"column `corse`; did you mean coarse"):
        load(file, columns=DataColumns(label="fine", split="corse"))


def test_shards_that_name_no_split_are_left_out_beside_those_that_do(tmp_path: Path) -> None:
    root = hub_set(tmp_path / "leaves")
    write(root / "data/extra-00000-of-00001.parquet", [0, 1], names=("healthy", "rust"))

    groups = load(root).left_out

    reasons = [(group.reason, group.files) for group in groups]
    assert ("in data/extra-00000-of-00001.parquet, which is no split with labels", 2) in reasons


def test_shards_with_other_columns_are_refused(tmp_path: Path) -> None:
    root = hub_set(tmp_path / "leaves")
    write(root / "data/train-00002.parquet", ["x"], label="name")

    with pytest.raises(DataError, match=r"train-00002\.parquet: must have the columns .*no label"):
        load(root)


def test_a_damaged_image_is_named_by_its_row(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet", ["a", "b"] * 100, plain=True)
    table = pyarrow.parquet.read_table(file)
    contents = table.column("image").to_pylist()
    contents[150] = b"no image"
    pyarrow.parquet.write_table(table.set_column(0, "image", pyarrow.array(contents, pyarrow.binary())), file)

    data = prepare_data(DataSpec(source=str(file), image_size=8), base_dir=tmp_path, root=tmp_path / "store")

    assert data.skipped == (("x.parquet: row 151", "not an image in a known format"),)


def test_shards_behind_a_uri_are_read(tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    for file in hub_set(tmp_path / "leaves").rglob("*.parquet"):
        files.pipe(f"/hub/leaves/{file.relative_to(tmp_path / 'leaves')}", file.read_bytes())

    table = load_table("memory://hub/leaves", base_dir=tmp_path)
    single = load_table("memory://hub/leaves/data/train-00000-of-00002.parquet", base_dir=tmp_path)

    assert len(table.names) == 35
    assert np.array_equal(decode_image(table.images[3], 16), decode_image(np.asarray(picture(0)), 16))
    assert len(single.names) == 16


def test_a_manifest_may_call_its_columns_otherwise(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        picture(0).save(tmp_path / name)
    manifest = tmp_path / "list.csv"
    manifest.write_text("id,breed,part\n1.png,pug,train\n2.png,husky,val\n")

    table = load(manifest, columns=DataColumns(image="id", label="breed", split="part"))

    assert table.classes == ("husky", "pug")
    assert table.split is not None
    assert table.split.tolist() == ["train", "val"]
    with pytest.raises(DataError, match=r"column `bread` .*did you mean breed"):
        load(manifest, columns=DataColumns(image="id", label="bread"))
    manifest.write_text("id,breed\n1.png,pug\n2.png,\n")
    with pytest.raises(DataError, match="3: breed: must not be empty"):
        load(manifest, columns=DataColumns(image="id", label="breed"))


def test_a_folder_has_no_columns(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "x" / name).mkdir(parents=True)
        picture(0).save(tmp_path / "x" / name / "1.png")

    with pytest.raises(
        DataError, match=r"data\.columns: only a manifest or metadata file has columns, .* has none \(label\)"
    ):
        load(tmp_path / "x", columns=DataColumns(label="breed"))


@pytest.fixture(scope="module")
def local_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images in `files`, and the Parquet files that `datasets` writes for them in `hub`.

    `Dataset.to_parquet` writes the paths of local files, and no bytes.
    """
    from datasets import ClassLabel, Dataset  # takes two seconds
    from datasets import Image as ImageFeature

    root = tmp_path_factory.mktemp("local")
    (root / "files").mkdir()
    for number in range(16):
        (root / "files" / f"{number}.png").write_bytes(encoded(number))
    paths = [str(root / "files" / f"{number}.png") for number in range(16)]
    whole = Dataset.from_dict({"image": paths, "label": [number % 2 for number in range(16)]})
    whole = whole.cast_column("image", ImageFeature()).cast_column("label", ClassLabel(names=["healthy", "rust"]))
    (root / "hub").mkdir()
    for split, part in whole.train_test_split(test_size=0.25, seed=0).items():
        part.to_parquet(root / "hub" / f"{split}-00000-of-00001.parquet")
    return root


def test_rows_may_name_files_instead_of_holding_their_bytes(local_set: Path) -> None:
    table = load(local_set / "hub", root=str(local_set / "files"))

    assert table.classes == ("healthy", "rust")
    assert table.split is not None
    assert sorted(table.split.tolist()) == [""] * 12 + ["test"] * 4
    for image, label in zip(table.images, table.labels.tolist(), strict=True):
        assert isinstance(image, Path)
        assert image.parent == local_set / "files"
        assert int(image.stem) % 2 == label
    with pytest.raises(DataError, match=r"test-.*: row 1 has a path instead of .*: must lie below .*/hub, or"):
        load(local_set / "hub")
    moved = pyarrow.parquet.read_table(local_set / "hub" / "train-00000-of-00001.parquet")
    empty = [{"bytes": None, "path": None}] * len(moved)
    lost = moved.set_column(0, "image", pyarrow.array(empty, moved.schema.field("image").type))
    (local_set / "lost").mkdir()
    pyarrow.parquet.write_table(lost, local_set / "lost" / "x.parquet")
    with pytest.raises(DataError, match=r"x\.parquet: row 1 has a path instead of an image's bytes: it is empty"):
        load(local_set / "lost" / "x.parquet")
