"""Archives are read like the folders that they hold, in place, wherever they lie."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from search_spaces import DataSpec
from search_spaces.sweeps import DataColumns
from tests.archive_files import encoded, pack, samples
from trainables.datasets import ImageTable
from trainables.datasets.archives import TemporaryFiles
from trainables.datasets.sources import load_table
from trainables.errors import DataError
from trainables.stores.prepared import prepare_data
from trainables.stores.unpacked import KeptFiles

KINDS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".txz")
PHOTOS = {f"{split}/{label}/{n}.png": encoded(n) for split in ("Training", "test") for label in "ab" for n in range(4)}
CLASSES = {f"{label}/{n}.png": encoded(n + 10 * (label == "b")) for label in "ab" for n in range(8)}


def load(place: object, base: Path = Path(), **options: object) -> ImageTable:
    return load_table(str(place), base_dir=base, **options)  # type: ignore[arg-type]


def left_out(table: ImageTable) -> dict[str, tuple[str, ...]]:
    return {group.reason: group.examples for group in table.left_out}


def contents(table: ImageTable) -> list[bytes]:
    return [image.read_bytes() if isinstance(image, Path) else image.read() for image in table.images]


def unpacked(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@pytest.fixture
def memory() -> Iterator[Callable[[str, bytes], None]]:
    """A function that writes a file to fsspec's memory:// at the folder `archives`."""
    files = fsspec.filesystem("memory")
    yield lambda name, content: files.pipe(f"/archives/{name}", content)
    files.rm("/archives", recursive=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("start", ["", "./", "photos/"])
def test_an_archive_is_read_like_its_folder(tmp_path: Path, kind: str, start: str) -> None:
    folder = load(unpacked(tmp_path / "photos", PHOTOS))
    table = load(pack(tmp_path / f"photos{kind}", {f"{start}{name}": content for name, content in PHOTOS.items()}))

    below = "photos/" if start == "photos/" else ""
    assert (table.name, table.classes) == ("photos", ("a", "b"))
    assert table.names == tuple(f"{below}{name}" for name in folder.names)
    assert np.array_equal(table.labels, folder.labels)
    assert table.split is not None
    assert folder.split is not None
    assert table.split.tolist() == folder.split.tolist()
    assert contents(table) == contents(folder)
    assert table.layout.startswith("split/class")
    assert table.layout.endswith(f"Training is train, test is test, in photos{kind}")


@pytest.mark.parametrize("kind", [".zip", ".tar", ".tgz"])
def test_members_that_are_no_images_are_counted_and_nothing_is_written_outside(tmp_path: Path, kind: str) -> None:
    odd = {
        "../outside.png": encoded(1),
        "a/../../outside.png": encoded(1),
        str(tmp_path / "absolute.png"): encoded(1),
        "C:/windows.png": encoded(1),
        "__MACOSX/a/._1.png": b"resource fork",
        "a/.DS_Store": b"",
        "a/notes.txt": b"none",
        "a/without-suffix": encoded(2),
    }
    links = {"b/same.png": "0.png", "b/away.png": "../../etc/passwd"} if kind != ".zip" else {}
    archive = pack(tmp_path / "deep" / f"x{kind}", CLASSES | odd, links)
    before = sorted(path for path in tmp_path.rglob("*"))

    table = load(archive)

    assert set(table.names) == {*CLASSES, "a/without-suffix", *(name for name in links if "same" in name)}
    assert left_out(table) == {
        "with a path that leads out of the archive": (
            "../outside.png", "a/../../outside.png", str(tmp_path / "absolute.png")
        ),
        "hidden": ("__MACOSX/a/._1.png", "a/.DS_Store"),
        "not an image": ("a/notes.txt",),
    } | ({"a link to no file of the archive": ("b/away.png",)} if links else {})  # fmt: skip
    if links:
        assert table.images[table.names.index("b/same.png")].read() == CLASSES["b/0.png"]
    prepare_data(DataSpec(source=str(archive), image_size=8), base_dir=tmp_path, root=tmp_path / "store")
    assert sorted(path for path in tmp_path.rglob("*") if tmp_path / "store" not in (path, *path.parents)) == before


@pytest.mark.parametrize("kind", [".zip", ".tar"])
@pytest.mark.parametrize("streamed", [False, True])
def test_pixels_are_those_of_the_folder(tmp_path: Path, kind: str, streamed: bool) -> None:
    limits = {"image_size": 8, "memory": 1 if streamed else None}
    sources = unpacked(tmp_path / "photos", CLASSES), pack(tmp_path / f"photos{kind}", CLASSES)
    folder, archive = (
        prepare_data(DataSpec(source=str(source), **limits), base_dir=tmp_path, root=tmp_path / "store")  # type: ignore[arg-type]
        for source in sources
    )
    assert np.array_equal(archive.images[:], folder.images[:])
    assert archive.digest == folder.digest


@pytest.mark.parametrize(
    ("uri", "name", "names"),
    [
        ("zip://::x.zip", "x", tuple(f"photos/{name}" for name in CLASSES)),
        ("zip://*::file://BASE/x.zip", "x", tuple(f"photos/{name}" for name in CLASSES)),
        ("zip://photos::x.zip", "photos", tuple(CLASSES)),
        ("zip://photos/::BASE/x.zip", "photos", tuple(CLASSES)),
        ("zip://photos/*::file://BASE/x.zip", "photos", tuple(CLASSES)),
        ("tar://photos::y.tar", "photos", tuple(CLASSES)),
        ("tar://photos::y.tgz", "photos", tuple(CLASSES)),
        ("memory://archives/x.zip", "x", tuple(f"photos/{name}" for name in CLASSES)),
        ("memory://archives/y.tgz", "y", tuple(f"photos/{name}" for name in CLASSES)),
        ("zip://photos::memory://archives/x.zip", "photos", tuple(CLASSES)),
        ("tar://photos::memory://archives/y.tgz", "photos", tuple(CLASSES)),
        ("zip://photos::simplecache::memory://archives/x.zip", "photos", tuple(CLASSES)),
        ("simplecache::memory://archives/x.zip", "x", tuple(f"photos/{name}" for name in CLASSES)),
        ("simplecache::memory://archives/plain", "plain", tuple(CLASSES)),
        ("memory://archives/plain/*", "plain", tuple(CLASSES)),
        ("zip://photos::zip://inner/x.zip::outer.zip", "photos", tuple(CLASSES)),
        ("zip://photos/list.csv::x.zip", "list", ("a/0.png", "b/0.png", "b/1.png")),
        ("tar://photos/list.csv::memory://archives/y.tgz", "list", ("a/0.png", "b/0.png", "b/1.png")),
        ("simplecache::memory://archives/plain/list.csv", "list", ("a/0.png", "b/0.png", "b/1.png")),
    ],
)
def test_chained_uris(
    tmp_path: Path, memory: Callable[[str, bytes], None], uri: str, name: str, names: tuple[str, ...]
) -> None:
    files = CLASSES | {"list.csv": b"image,label\na/0.png,a\nb/0.png,b\nb/1.png,b\n"}
    below = {f"photos/{file}": content for file, content in files.items()}
    packed = pack(tmp_path / "x.zip", below).read_bytes()
    pack(tmp_path / "outer.zip", {"inner/x.zip": packed})
    pack(tmp_path / "y.tar", below)
    memory("x.zip", packed)
    memory("y.tgz", pack(tmp_path / "y.tgz", below).read_bytes())
    for file, content in files.items():
        memory(f"plain/{file}", content)

    table = load(uri.replace("BASE", str(tmp_path)), tmp_path)

    assert (table.name, table.names) == (name, names)
    start = "" if names[0].startswith("photos") else "photos/"
    assert contents(table) == [below[f"{start}{file}"] for file in names]


def test_images_of_a_manifest_lie_in_an_archive(tmp_path: Path) -> None:
    pack(tmp_path / "images.zip", CLASSES)
    (tmp_path / "list.csv").write_text("image,label\na/1.png,x\nb/1.png,y\n")

    table = load("list.csv", tmp_path, root="zip://::images.zip")

    assert contents(table) == [CLASSES["a/1.png"], CLASSES["b/1.png"]]
    (tmp_path / "list.csv").write_text("image,label\n../a/1.png,x\nb/9.png,y\n")
    with pytest.raises(DataError, match=r"list.csv:2: image: must lie below zip://::.*(?s:.*):3: image: no such file"):
        load("list.csv", tmp_path, root="zip://::images.zip")


@pytest.mark.parametrize("kind", [".zip", ".tgz"])
def test_metadata_files_lie_beside_images_in_an_archive(tmp_path: Path, kind: str) -> None:
    images = {f"{split}/{n}.png": encoded(n) for split in ("train", "test") for n in range(4)}
    rows = b"file_name,species\n0.png,owl\n1.png,wren\n2.png,owl\n"
    archive = pack(tmp_path / f"x{kind}", images | {f"{split}/metadata.csv": rows for split in ("train", "test")})

    table = load(archive, columns=DataColumns(label="species"))

    assert (table.name, table.classes) == ("x", ("owl", "wren"))
    assert table.split is not None
    assert sorted(table.split.tolist()) == [""] * 3 + ["test"] * 3
    assert left_out(table) == {"in no metadata file with labels": ("test/3.png", "train/3.png")}
    assert table.layout.endswith(f"in x{kind}")


def test_parquet_files_with_images_lie_in_an_archive(tmp_path: Path) -> None:
    for split in ("train", "test"):
        rows = {"image": [encoded(n) for n in range(6)], "label": list("ababab")}
        pyarrow.parquet.write_table(pyarrow.table(rows), tmp_path / f"{split}-00000-of-00001.parquet")
    files = {f"data/{file.name}": file.read_bytes() for file in tmp_path.glob("*.parquet")}
    pack(tmp_path / "hub.zip", files)

    whole = load("hub.zip", tmp_path)
    single = load("zip://data/train-00000-of-00001.parquet::hub.zip", tmp_path)

    assert whole.split is not None
    assert sorted(whole.split.tolist()) == [""] * 6 + ["test"] * 6
    assert (len(single.images), single.split) == (6, None)
    assert contents(single) == [encoded(n) for n in range(6)]


def test_a_folder_of_archives_is_read_as_folders_of_their_names(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        pack(tmp_path / "classes" / f"{label}.tar", {f"{label}_{n}.JPEG": encoded(n, "JPEG") for n in range(3)})
    for split in ("train", "test"):
        pack(tmp_path / "splits" / f"{split}.zip", {f"{split}/{name}": content for name, content in CLASSES.items()})
    (tmp_path / "splits" / "README.md").write_text("none")

    classes, splits = load(tmp_path / "classes"), load(tmp_path / "splits")

    assert (classes.classes, classes.layout) == (("cat", "dog"), "class, in 2 archives")
    assert splits.split is not None
    assert sorted(splits.split.tolist()) == [""] * 16 + ["test"] * 16
    assert splits.classes == ("a", "b")
    assert left_out(splits) == {"beside the archives": ("README.md",)}


def test_an_archive_beside_images_is_left_out(tmp_path: Path) -> None:
    root = unpacked(tmp_path / "photos", CLASSES)
    pack(root / "old.zip", CLASSES)

    assert load(root).names == tuple(CLASSES)
    assert left_out(load(root)) == {"not an image": ("old.zip",)}


def test_what_cannot_be_read_in_place_is_unpacked_once(tmp_path: Path, memory: Callable[[str, bytes], None]) -> None:
    archive = pack(tmp_path / "x.tgz", CLASSES)
    memory("x.zip", pack(tmp_path / "x.zip", CLASSES).read_bytes())
    for source in (str(archive), "memory://archives/x.zip"):
        first = load(source, unpacked=KeptFiles(tmp_path / "kept"))
        files = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("content")}
        again = load(source, unpacked=KeptFiles(tmp_path / "kept"))

        assert contents(first) == contents(again) == list(CLASSES.values())
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("content")} == files
    assert len(files) == 2
    pack(archive, CLASSES | {"c/1.png": encoded(3)})
    assert load(archive, unpacked=KeptFiles(tmp_path / "kept")).classes == ("a", "b", "c")


def test_temporary_copies_go_with_their_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    table = load(pack(tmp_path / "x.tgz", CLASSES))

    assert contents(table) == list(CLASSES.values())
    assert len(list((tmp_path / "tmp").iterdir())) == 1
    del table
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_set_may_have_more_shards_than_a_process_may_open_files(tmp_path: Path) -> None:
    for number in range(80):
        pack(tmp_path / "shards" / f"train-{number:06d}.tar", samples(2, first=2 * number))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 30, hard))
    try:
        table = load(tmp_path / "shards")
        assert len(contents(table)) == 160
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5])
def test_a_damaged_archive_is_one_error(tmp_path: Path, kind: str, kept: float) -> None:
    archive = pack(tmp_path / f"x{kind}", CLASSES)
    archive.write_bytes(archive.read_bytes()[: int(kept * archive.stat().st_size)])

    with pytest.raises(DataError, match=rf"^data\.source: {archive} must be a whole zip or tar file \(.*\)$"):
        load(archive)


def test_a_member_that_is_damaged_is_named(tmp_path: Path) -> None:
    archive = pack(tmp_path / "x.zip", CLASSES)
    content = bytearray(archive.read_bytes())
    content[60:70] = bytes(10)
    archive.write_bytes(content)

    with pytest.raises(DataError, match=r"^x\.zip: a/0\.png: cannot be read: "):
        load(archive).images[0].read()


def test_a_label_file_is_the_way_out_of_a_folder_without_classes(tmp_path: Path) -> None:
    files = {f"train/{n}.png": encoded(n) for n in range(4)}
    files["train.csv"] = b"image,label\ntrain/0.png,a\ntrain/1.png,b\n"
    pack(tmp_path / "x.zip", {f"kaggle/{name}": content for name, content in files.items()})
    sources = (unpacked(tmp_path / "folder", files), pack(tmp_path / "x.tgz", files), tmp_path / "x.zip")
    for source in (*map(str, sources), f"zip://kaggle::{tmp_path / 'x.zip'}"):
        with pytest.raises(DataError, match=r"; if .*train\.csv in it has their labels, name that: ") as caught:
            load(source)
        written = str(caught.value).partition("name that: ")[2]
        assert load(written).classes == ("a", "b")
    pack(tmp_path / "several" / "a.zip", {"list.csv": b""})
    pack(tmp_path / "several" / "b.zip", {"1.png": encoded(1)})
    with pytest.raises(DataError, match=r"must hold images \(none in a\)$"):
        load(tmp_path / "several")


def test_an_archive_that_became_shorter_is_named(tmp_path: Path) -> None:
    archive = pack(tmp_path / "x.tar", CLASSES)
    table = load(archive)
    archive.write_bytes(archive.read_bytes()[:5000])

    with pytest.raises(DataError, match=r"^x\.tar: b/7\.png: cannot be read: the archive ends early$"):
        table.images[-1].read()


@pytest.mark.parametrize("kept", [False, True])
def test_a_full_disk_is_one_error(tmp_path: Path, kept: bool) -> None:
    files = KeptFiles(tmp_path / "kept") if kept else TemporaryFiles()

    def write(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError, match=r"data\.source: s3://b/x\.zip is unpacked below .*, which has too little room"):
        files.keep("s3://b/x.zip", "stamp", write)
    assert files.keep("s3://b/x.zip", "stamp", lambda _: None).read_bytes() == b""
    assert list(tmp_path.rglob("*.partial")) == []


def test_archives_inside_archives_are_named(tmp_path: Path) -> None:
    inner = pack(tmp_path / "cat.tar", CLASSES).read_bytes()
    archive = pack(tmp_path / "x.tar", {"cat.tar": inner, "dog.tar": inner})

    with pytest.raises(DataError, match=r"no images: .* archives inside archives are not read: unpack cat\.tar"):
        load(archive)
