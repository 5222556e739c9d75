"""Manifests in Parquet, behind URIs, and with images in another folder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from search_spaces import DataSpec, SplitSpec
from tests.trainables.datasets.photos import NAMES, write_photos
from trainables.datasets import RemoteFile
from trainables.datasets.images import decode_image
from trainables.datasets.sources import load_table
from trainables.errors import DataError
from trainables.stores.prepared import prepare_data


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos")


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """Yield an in-memory file system of fsspec, and empty it afterwards."""
    system = fsspec.filesystem("memory")
    yield system
    for path in system.ls("/", detail=False):
        system.rm(path, recursive=True)


def parquet(path: Path, **columns: object) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def test_parquet_and_csv_give_the_same_table(photos: Path) -> None:
    splits = ["train", "val", "train", "val"]
    days = [1, 2, 3, 4]
    path = parquet(
        photos / "list.parquet", image=NAMES, label=["k", "k", "h", "h"], split=splits, day=days, note=[[1]] * 4
    )
    lines = [f"{n},{c},{s},{d}" for n, c, s, d in zip(NAMES, "kkhh", splits, days, strict=True)]
    (photos / "list.csv").write_text("\n".join(["image,label,split,day", *lines]))

    table = load_table(str(path), base_dir=photos, group="day")
    listed = load_table("list.csv", base_dir=photos, group="day")

    assert (table.names, table.images, table.classes) == (listed.names, listed.images, ("h", "k"))
    for part in ("labels", "groups", "split"):
        assert np.array_equal(getattr(table, part), getattr(listed, part))


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([3, 3, 10, 10], ("10", "3")),
        (pyarrow.array([3.0, 3.0, 10.0, 10.0]), ("10", "3")),
        (pyarrow.array(["b", "b", "a", "a"]).dictionary_encode(), ("a", "b")),
        ([True, True, False, False], ("False", "True")),
        ([0.5, 0.5, 1.5, 1.5], ("0.5", "1.5")),
    ],
)
def test_labels_may_be_text_or_numbers(photos: Path, labels: object, classes: tuple[str, ...]) -> None:
    path = parquet(photos / "list.parquet", image=NAMES, label=labels)

    assert load_table(str(path), base_dir=photos).classes == classes


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": NAMES}, r"must have a column `label` \(image\)"),
        ({"thing": NAMES, "label": list("aabb")}, r"column `image` \(thing,label\); or .*: `columns: {image: thing}`"),
        ({"image": NAMES, "label": ["a", None, "b", "b"]}, r": row 2: label: must not be empty"),
        ({"image": NAMES, "label": [0.0, 0.0, 1.0, math.nan]}, r": row 4: label: must not be NaN"),
        ({"image": NAMES, "label": [[1], [1], [2], [2]]}, r"column `label` must hold text or numbers \(list"),
        ({"image": [NAMES[0]] * 4, "label": list("aabb")}, r": row 2: image: .* once \(also in row 1\)"),
        ({"image": [*NAMES[:3], "no.png"], "label": list("aabb")}, r": row 4: image: no such file \(no.png\)"),
        ({"image": NAMES, "label": ["Cat", "Cat", "cat", "dog"]}, r"label: .* more than case \(Cat and cat\)"),
        ({"image": pyarrow.array([], "string"), "label": pyarrow.array([], "string")}, "must list images"),
    ],
)
def test_mistakes_in_a_parquet_manifest_are_located(photos: Path, columns: dict[str, object], message: str) -> None:
    path = parquet(photos / "list.parquet", **columns)

    with pytest.raises(DataError, match=message) as refused:
        load_table(str(path), base_dir=photos)
    assert str(refused.value).startswith(str(path))
    assert len(str(refused.value).splitlines()) <= 3


def test_a_file_that_is_no_parquet_is_refused(photos: Path) -> None:
    (photos / "list.parquet").write_text("image,label\n")
    with pytest.raises(DataError, match=r"list\.parquet: must be a whole Parquet file"):
        load_table("list.parquet", base_dir=photos)
    (photos / "list.parquet").unlink()
    (photos / "list.parquet").mkdir()
    with pytest.raises(DataError, match="no images"):
        load_table("list.parquet", base_dir=photos)


def csv(path: Path, *rows: str) -> str:
    path.write_text("\n".join(["image,label", *rows]))
    return str(path)


def test_nan_is_refused_as_a_label_in_csv_too(photos: Path) -> None:
    source = csv(photos / "list.csv", "cat/1.png,nan", "dog/1.png,NaN", "dog/2.png,x")
    with pytest.raises(DataError, match=r":2: label: must not be NaN, and 1 more \(line 3\)"):
        load_table(source, base_dir=photos)


def test_classes_that_differ_in_case_are_refused(photos: Path) -> None:
    source = csv(photos / "list.csv", "cat/1.png,Straße", "dog/1.png,STRASSE")
    with pytest.raises(DataError, match=r"list\.csv: label: classes must differ in more than case"):
        load_table(source, base_dir=photos)
    (photos / "Dog").mkdir()
    Image.new("L", (8, 8)).save(photos / "Dog" / "3.png")
    with pytest.raises(DataError, match=r"data\.source: .*photos: classes must differ .*\(Dog and dog\)"):
        load_table("photos", base_dir=photos.parent)


def test_paths_must_not_leave_the_manifests_folder(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("out") / "secret.png"  # short enough to be shown in full
    for secret in (outside, photos.parent / "secret.png"):
        Image.new("L", (8, 8)).save(secret)
    for cell in ("../secret.png", str(outside), "cat/../../secret.png", "s3://bucket/x.png", outside.as_uri()):
        source = csv(photos / "list.csv", f"{cell},x", "dog/1.png,y")
        with pytest.raises(DataError, match=r":2: image: must lie below .*photos, or data\.root must be") as refused:
            load_table(source, base_dir=photos)
        assert cell in str(refused.value)


def test_paths_start_at_the_root_and_stay_below_it(photos: Path) -> None:
    lists = photos.parent / "lists"
    lists.mkdir()
    first = photos / "cat" / "1.png"
    source = csv(lists / "list.csv", f"{first.as_uri()},x", f"{photos / 'cat' / '2.png'},x", "dog/../dog/1.png,y")

    table = load_table(source, base_dir=lists, root="../photos")

    assert table.names == ("cat/1.png", "cat/2.png", "dog/1.png")
    assert all(isinstance(image, Path) and image.is_file() for image in table.images)
    with pytest.raises(DataError, match=r":2: image: must lie below .*dog"):
        load_table(source, base_dir=lists, root=str(photos / "dog"))


def test_links_inside_the_root_may_lead_out(photos: Path) -> None:
    Image.new("L", (8, 8)).save(photos.parent / "far.png")
    (photos / "near.png").symlink_to(photos.parent / "far.png")
    (photos.parent / "door").symlink_to(photos, target_is_directory=True)
    source = csv(photos.parent / "door" / "list.csv", "near.png,x", f"{photos / 'dog' / '1.png'},y")

    assert load_table(source, base_dir=photos).names == ("near.png", "dog/1.png")


def test_manifests_and_folders_are_read_from_uris(photos: Path, memory: fsspec.AbstractFileSystem) -> None:
    memory.put(str(photos), "/bucket/set", recursive=True)
    memory.pipe("/bucket/set/.hidden/9.png", b"")
    memory.pipe("/bucket/set/list.csv", b"image,label\ncat/1.png,x\nmemory://bucket/set/dog/1.png,y\n")
    memory.pipe(
        "/bucket/bad.csv", b"image,label\nset/cat/1.png,x\n../other/1.png,y\nmemory://away/1.png,y\nset/7.png,y\n"
    )

    folder = load_table("memory://bucket/set/", base_dir=photos)
    assert (folder.name, folder.names, folder.classes) == ("set", NAMES, ("cat", "dog"))
    assert np.array_equal(decode_image(folder.images[3], 8), decode_image(photos / NAMES[3], 8))
    listed = load_table("memory://bucket/set/list.csv", base_dir=photos)
    assert (listed.name, listed.names) == ("list", ("cat/1.png", "dog/1.png"))
    assert all(isinstance(image, RemoteFile) for image in listed.images)
    with pytest.raises(DataError) as refused:
        load_table("memory://bucket/bad.csv", base_dir=photos)
    assert [line.partition(": image: ")[2][:14] for line in str(refused.value).splitlines()] == [
        "must lie below",
        "no such file (",
    ]
    here = csv(photos / "list.csv", "cat/1.png,x", "dog/2.png,y")
    assert load_table(here, base_dir=photos, root="memory://bucket/set").images[1] == folder.images[3]


def test_a_file_uri_is_a_path(photos: Path) -> None:
    assert load_table(photos.as_uri(), base_dir=Path("/nowhere")).images[0] == photos / NAMES[0]
    csv(photos / "a list.csv", "cat/1.png,x", "dog/2.png,y")
    assert load_table((photos / "a list.csv").as_uri(), base_dir=Path("/nowhere")).name == "a list"
    with pytest.raises(DataError, match="no such file"):
        load_table(f"{photos.as_uri()}/gone.csv", base_dir=photos)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("memory://empty/set", "no images: memory://empty/set must hold one folder per class"),
        ("memory://empty/list.csv", "memory://empty/list.csv: no such file"),
        ("nonsense://x/y", "nonsense://x/y: cannot be opened: Protocol not known: nonsense"),
        ("gs://bucket/set", r"gs://bucket/set: gs:// needs a driver that is not installed: .*gcsfs"),
        ("gs://bucket/list.parquet", r"gs://bucket/list\.parquet: gs:// needs a driver .*gcsfs"),
    ],
)
def test_a_uri_that_cannot_be_read_is_an_error_of_one_line(photos: Path, source: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        load_table(source, base_dir=photos)
    assert len(str(refused.value).splitlines()) == 1


def test_a_changed_file_behind_a_uri_is_decoded_again(tiny_folder: Path, memory: fsspec.AbstractFileSystem) -> None:
    memory.put(str(tiny_folder), "/tiny", recursive=True)
    root = tiny_folder.parent / "remote"
    data = DataSpec(source="memory://tiny", image_size=16, split=SplitSpec())
    before = prepare_data(data, base_dir=root, root=root)
    assert prepare_data(data, base_dir=root, root=root).folder == before.folder
    assert np.array_equal(before.images[0], decode_image(sorted(tiny_folder.rglob("*.png"))[0], 16))

    memory.pipe("/tiny/one/000.png", memory.cat("/tiny/one/001.png"))
    after = prepare_data(data, base_dir=root, root=root)

    assert np.array_equal(after.images[0], before.images[1])
    memory.pipe("/tiny/two/000.png", b"")
    assert prepare_data(data, base_dir=root, root=root).skipped == (("two/000.png", "the file is empty"),)
