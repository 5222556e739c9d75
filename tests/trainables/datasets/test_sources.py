from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.datasets.sources import DATASETS, load_table
from trainables.errors import DataError


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), 100).save(path)
    return path


def manifest(folder: Path, text: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "list.csv").write_text(text)
    return str(folder / "list.csv")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("cat/1.png", "cat/old/2.png", "dog/1.png", "dog/2.JPG", "dog/3.webp"):
        put(tmp_path / "photos" / name)
    return tmp_path / "photos"


def test_digits_have_ten_classes_of_grey_images() -> None:
    table = load_table("digits", base_dir=Path())

    assert len(table.images) == len(table.labels) == len(set(table.names)) == 1797
    assert table.classes == tuple("0123456789")
    assert table.images[0].shape == (8, 8)
    assert max(image.max() for image in table.images) == 255


def test_solar_cells_are_defective_above_one_half() -> None:
    table = load_table("elpv", base_dir=Path())

    assert len(table.images) == 2624
    assert table.classes == ("functional", "defective")
    assert np.bincount(table.labels).tolist() == [1803, 821]
    assert table.labels[0] == 1  # cell0001 is listed with probability 1.0
    assert all(image.is_file() for image in table.images)


def test_without_the_package_of_a_data_set_the_message_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(DataError, match=r'pip install "meltpoint\[demo\]"'):
        load_table("elpv", base_dir=Path())


def test_the_registry_is_keyed_by_name() -> None:
    assert all(key == info.name for key, info in DATASETS.items())


def test_classes_are_the_first_folders_and_hold_all_images_below(photos: Path) -> None:
    table = load_table("photos", base_dir=photos.parent)

    assert table.name == "photos"
    assert table.classes == ("cat", "dog")
    assert table.names == ("cat/1.png", "cat/old/2.png", "dog/1.png", "dog/2.JPG", "dog/3.webp")
    assert table.labels.tolist() == [0, 0, 1, 1, 1]
    assert list(table.images) == [photos / name for name in table.names]
    assert load_table(str(photos), base_dir=Path("/nowhere")).names == table.names


def test_hidden_and_other_files_are_left_out(photos: Path) -> None:
    before = load_table(str(photos), base_dir=photos).names
    put(photos / "cat" / ".thumbnail.png")
    put(photos / "cat" / ".cache" / "5.png")
    put(photos / ".git" / "6.png")
    (photos / "dog" / "notes.txt").write_text("good dog")
    (photos / "README.md").write_text("animals")

    assert load_table(str(photos), base_dir=photos).names == before


def test_links_are_followed_once(photos: Path) -> None:
    before = load_table(str(photos), base_dir=photos)
    (photos / "dog" / "loop").symlink_to(photos / "dog", target_is_directory=True)
    (photos / "cat" / "old" / "up").symlink_to(photos / "cat", target_is_directory=True)
    put(photos.parent / "elsewhere" / "9.png")
    (photos / "dog" / "linked").symlink_to(photos.parent / "elsewhere", target_is_directory=True)

    table = load_table(str(photos), base_dir=photos)

    assert set(table.names) == {*before.names, "dog/linked/9.png"}


def test_a_folder_may_share_its_name_with_a_registered_set(photos: Path) -> None:
    photos.rename(photos.parent / "digits")

    assert load_table("./digits", base_dir=photos.parent).classes == ("cat", "dog")
    assert len(load_table("digits", base_dir=photos.parent).classes) == 10


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("digts", "did you mean digits"),
        ("./gone", "no such folder: .*gone"),
        ("data/gone", "no such folder: .*data/gone"),
        ("gone.csv", "no such file: .*gone.csv"),
        ("empty", "no images: .*empty"),
        ("flat", "images without classes: .*one folder per class"),
        ("single", "at least two class folders .only cat"),
        ("hollow", "must hold images .none in dog"),
        ("presplit", "holds splits .* not classes"),
        ("flat/1.png", r"folder of images, a manifest \(\.csv, \.tsv, \.jsonl, \.parquet\), an archive"),
    ],
)
def test_unusable_sources_are_refused(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "hollow" / "dog").mkdir(parents=True)
    for name in (
        "flat/1.png",
        "single/cat/1.png",
        "hollow/cat/1.png",
        "presplit/train/1.png",
        "presplit/val/1.png",
    ):
        put(tmp_path / name)

    with pytest.raises(DataError, match=message):
        load_table(source, base_dir=tmp_path)


def test_a_folder_has_no_columns_to_group_by(photos: Path) -> None:
    with pytest.raises(DataError, match=r"data\.split\.group: only a manifest or metadata file has columns"):
        load_table("photos", base_dir=photos.parent, group="farm")


def test_a_manifest_names_images_labels_splits_and_groups(photos: Path) -> None:
    text = (
        "\ufeffimage, label ,split,farm\n"
        "dog/1.png,hund,train,a\n\n"
        "cat/1.png,katze,val,b\n"
        '"cat/old/2.png",katze,test,b\n'
    )
    table = load_table(manifest(photos, text), base_dir=Path("/nowhere"), group="farm")

    assert table.classes == ("hund", "katze")
    assert table.labels.tolist() == [0, 1, 1]
    assert table.names == ("dog/1.png", "cat/1.png", "cat/old/2.png")
    assert list(table.images) == [photos / name for name in table.names]
    assert table.split is not None
    assert table.split.tolist() == ["train", "val", "test"]
    assert table.groups is not None
    assert table.groups.tolist() == ["a", "b", "b"]


def test_a_manifest_needs_two_columns_only(photos: Path) -> None:
    text = f"label,image\nx,dog/1.png\ny,{photos / 'cat' / '1.png'}\n"
    table = load_table(manifest(photos, text), base_dir=photos)

    assert table.split is None
    assert table.groups is None
    assert list(table.images) == [photos / "dog/1.png", photos / "cat/1.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: the header must have a column `image`"),
        ("image\ndog/1.png\n", ":1: the header must have a column `label`"),
        ("image,label,label\ndog/1.png,x,y\n", ":1: the header must name each column once"),
        ("thing;label\ndog/1;x\n", ":1: the header must have a column `image` .thing,label"),
        ("image,label\n", "no rows"),
        ("image,label\ndog/1.png,x\ncat/1.png,\n", ":3: label: must not be empty"),
        ("image,label\n,x\ncat/1.png,y\n", ":2: image: must not be empty"),
        ("image,label\ndog/1.png,x\ncat/7.png,y\n", r":3: image: no such file \(cat/7.png\)"),
        ("image,label\ndog/1.png,x\n./dog/1.png,y\n", r":3: image: each image .* once \(also on line 2\)"),
        ("image,label\ndog/1.png,x\ncat/1.png,x\n", r"label: must hold at least two classes \(only x\)"),
        ("image,label\ndog/1.png,x,1\n", ":2: must have 2 cells"),
        (
            "image,label,split\ndog/1.png,x,tain\n",
            r":2: split: must be one of .* \(tain\); did you mean train",
        ),
        ("image,label,split\ndog/1.png,x,NaN\n", ":2: split: must be one of .* or empty .NaN"),
        ('image,label\n"dog/1.png,x\n', ":2: must be comma-separated values"),
    ],
)
def test_mistakes_in_a_csv_manifest_are_located(photos: Path, text: str, message: str) -> None:
    source = manifest(photos, text)

    with pytest.raises(DataError, match=message) as caught:
        load_table(source, base_dir=photos)
    assert str(caught.value).startswith(source)


def test_a_manifest_without_the_group_column_is_refused(photos: Path) -> None:
    source = manifest(photos, "image,label,farm\ndog/1.png,x,a\ncat/1.png,y,b\n")

    with pytest.raises(DataError, match=r":1: .*column `frm`.*did you mean farm"):
        load_table(source, base_dir=photos, group="frm")


def test_mistakes_in_a_manifest_are_reported_together(photos: Path) -> None:
    rows = "".join(f"gone/{row}.png,x\n" for row in range(25))

    with pytest.raises(DataError) as caught:
        load_table(manifest(photos, f"image,label\n{rows}"), base_dir=photos)
    assert str(caught.value).endswith(
        "list.csv:2: image: no such file (gone/0.png), and 24 more (lines 3: gone/1.png, 4: gone/2.png, ...)"
    )


def test_a_manifest_that_is_not_text_is_refused(photos: Path) -> None:
    (photos / "list.csv").write_bytes(b"image,label\n\xff\xfe,x\n")

    with pytest.raises(DataError, match="must be UTF-8 text"):
        load_table("list.csv", base_dir=photos)
