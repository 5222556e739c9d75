"""Errors of images, labels and splits."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unittest import mock

import fsspec
import numpy as np
import pyarrow
from PIL import Image

from tests.archive_files import pack
from tests.errors.cases import Case, Section, code
from tests.errors.folders import CLASSES, PHOTOS_PER_CLASS, Folder
from tests.errors.own_code import loads

Make = Callable[[Folder], Sequence[str]]


def source(name: str, *lines: str) -> Case:
    """Return the case of `name` as `data.source`, beside a folder of photos."""

    def make(folder: Folder) -> Sequence[str]:
        folder.photos()
        return folder.sweep(name, *lines)

    return Case(
        code("\n".join(line for line in lines if line.startswith("data:")) or f"data: {{source: {name}}}"), make
    )


def photos(change: Callable[[Folder], object]) -> Make:
    """Make two classes of five photos, and apply `change` to the folder."""

    def make(folder: Folder) -> Sequence[str]:
        folder.photos()
        change(folder)
        return folder.sweep("photos")

    return make


def one_file(content: bytes) -> Make:
    """Replace one photo of the ten by a file with `content`."""
    return photos(lambda folder: folder.write("photos/dog/3.png", content))


def csv(text: str | bytes, *lines: str) -> Make:
    """Write a manifest `list.csv` beside the photos; `ROWS` stands for a line `path,class` for each photo."""

    def make(folder: Folder) -> Sequence[str]:
        folder.photos()
        written = text if isinstance(text, bytes) else text.replace("ROWS", rows())
        folder.write("list.csv", written)
        return folder.sweep("list.csv", *lines)

    return make


def rows(extra: Callable[[str, int], str] = lambda _label, _number: "") -> str:
    return "\n".join(
        f"photos/{label}/{number}.png,{label}{extra(label, number)}"
        for label in CLASSES
        for number in range(PHOTOS_PER_CLASS)
    )


def parquet(change: Callable[[dict[str, list[object]]], Mapping[str, Sequence[object]]]) -> Make:
    """Write a manifest `list.parquet` of the photos, after `change` of its columns."""

    def make(folder: Folder) -> Sequence[str]:
        folder.photos()
        lines = [line.split(",") for line in rows().splitlines()]
        columns: dict[str, list[object]] = {
            "image": [path for path, _ in lines],
            "label": [label for _, label in lines],
        }
        folder.parquet("list.parquet", change(columns))
        return folder.sweep("list.parquet")

    return make


def two_of_a_name(folder: Folder) -> Sequence[str]:
    folder.photos()
    folder.photo("photos/cat/0.jpg")
    folder.write("list.csv", rows().replace(".png", "").join(["id,label\n", "\n"]))
    return folder.sweep("list.csv")


def json_lines(line: str) -> Make:
    """Write a manifest `list.jsonl` of one line."""

    def make(folder: Folder) -> Sequence[str]:
        folder.photos()
        folder.write("list.jsonl", line)
        return folder.sweep("list.jsonl")

    return make


def png(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes whose header gives this size in pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + content


def truncated(folder: Folder) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = folder.path / "photos/dog/3.png"
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:6000])


def floating(folder: Folder) -> None:
    Image.new("F", (8, 8), 0.5).save(folder.path / "photos/dog/3.tiff")


def only_class(folder: Folder) -> None:
    for file in (folder.path / "photos/dog").iterdir():
        file.unlink()
    (folder.path / "photos/dog").rmdir()


def few(folder: Folder) -> None:
    for number in (2, 3, 4):
        (folder.path / f"photos/dog/{number}.png").unlink()


def folders(*names: str, layout: str = "") -> Make:
    """Write a photo at `photos`/NAME/1.png for each name."""

    def make(folder: Folder) -> Sequence[str]:
        for number, name in enumerate(names):
            folder.photo(f"photos/{name}/1.png", number)
        return folder.sweep("photos", *([f"data: {{source: photos, layout: {layout}}}"] if layout else []))

    return make


def copies(folder: Folder) -> Sequence[str]:
    """Write a class with five copies of one photo."""
    folder.photos()
    for number in range(PHOTOS_PER_CLASS):
        folder.photo(f"photos/dog/{number}.png", 7)
    return folder.sweep("photos", "data: {source: photos, image_size: 32, split: {copies: together}}")


def shards(change: Callable[[dict[str, list[object]]], Mapping[str, Sequence[object]]], *lines: str) -> Make:
    """Write two Parquet files with images; the second has the columns after `change`."""

    def make(folder: Folder) -> Sequence[str]:
        content = (folder.photo("photo.png")).read_bytes()
        columns: dict[str, list[object]] = {"image": [content] * 4, "label": list("abab")}
        (folder.path / "photos").mkdir()
        folder.parquet("photos/0.parquet", columns)
        folder.parquet("photos/1.parquet", change(columns))
        return folder.sweep("photos", *lines)

    return make


def named_in_rows(path: str | None) -> Make:
    """Write a Parquet file whose images have a path and no bytes."""

    def make(folder: Folder) -> Sequence[str]:
        kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
        images = pyarrow.array([{"bytes": None, "path": path}] * 4, kind)
        folder.parquet("x.parquet", {"image": images, "label": list("abab")})
        return folder.sweep("x.parquet")

    return make


def unnamed(*named: str) -> Make:
    """Write a Parquet file with images and two columns that may be the label; named: keys of `data.columns`."""

    def make(folder: Folder) -> Sequence[str]:
        content = (folder.photo("photo.png")).read_bytes()
        folder.parquet("x.parquet", {"photo": [content] * 4, "fine": list("abcd"), "coarse": list("abab")})
        columns = f"columns: {{{', '.join(named)}}}" if named else ""
        return folder.sweep("x.parquet", f"data: {{source: x.parquet, image_size: 32, {columns}}}")

    return make


def columns_of_photos(folder: Folder) -> Sequence[str]:
    folder.photos()
    return folder.sweep("photos", "data: {source: photos, image_size: 32, columns: {label: breed}}")


def metadata_of_photos(folder: Folder) -> Sequence[str]:
    for number in range(4):
        folder.photo(f"photos/{number}.png", number)
    lines = [f"{number}.png,{'ab'[number % 2]},{'cd'[number // 2]}" for number in range(4)]
    folder.write("photos/metadata.csv", "\n".join(["file_name,breed,colour", *lines]))
    return folder.sweep("photos")


def layout_of_digits(folder: Folder) -> Sequence[str]:
    return folder.sweep("digits", "data: {source: digits, image_size: 32, layout: class}")


def packed(name: str, files: Callable[[Folder], Mapping[str, bytes]], *lines: str) -> Make:
    """Write an archive `name` with these files."""

    def make(folder: Folder) -> Sequence[str]:
        pack(folder.path / name, files(folder))
        return folder.sweep(name, *lines)

    return make


def samples_with(*extra: tuple[str, bytes], labels: Sequence[str] = ()) -> Callable[[Folder], Mapping[str, bytes]]:
    """Return four images `0.png` to `3.png`, the `labels` as `0.cls` to `3.cls`, and further files."""

    def files(folder: Folder) -> Mapping[str, bytes]:
        photo = folder.photo("photo.png").read_bytes()
        numbered = {f"{number}.cls": label.encode() for number, label in enumerate(labels)}
        return {f"{number}.png": photo for number in range(4)} | numbered | dict(extra)

    return files


def cut_off(name: str) -> Make:
    def make(folder: Folder) -> Sequence[str]:
        archive = pack(folder.path / name, samples_with()(folder))
        archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
        return folder.sweep(name)

    return make


def cut_at_a_member(folder: Folder) -> Sequence[str]:
    archive = pack(folder.path / "photos.tar", samples_with()(folder))
    archive.write_bytes(archive.read_bytes()[:2048])
    return folder.sweep("photos.tar")


def some_shards(folder: Folder) -> Sequence[str]:
    pack(folder.path / "train-0.tar", samples_with(labels="0101")(folder))
    return folder.sweep("'train-{0..3}.tar'")


def encrypted(folder: Folder) -> Sequence[str]:
    archive = pack(folder.path / "photos.zip", samples_with()(folder))
    content = archive.read_bytes()
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        parts = content.split(mark)
        content = mark.join([parts[0], *(part[: flags - 4] + b"\1\0" + part[flags - 2 :] for part in parts[1:])])
    archive.write_bytes(content)
    return folder.sweep("photos.zip")


def large_member(folder: Folder) -> Sequence[str]:
    """Write an archive of ten photos, the last of which is said to have 2 GiB."""
    photo = folder.photo("photo.png").read_bytes()
    archive = pack(folder.path / "photos.zip", {f"{label}/{n}.png": photo for label in CLASSES for n in range(5)})
    content = bytearray(archive.read_bytes())
    struct.pack_into("<I", content, content.rindex(b"PK\1\2") + 24, 2**31)
    archive.write_bytes(content)
    return folder.sweep("photos.zip")


def arrays(**named: Any) -> Make:
    """Write `x.npz`; the arrays that are not given are those of four images of 8 px."""

    def make(folder: Folder) -> Sequence[str]:
        whole: dict[str, Any] = {"images": np.zeros((4, 8, 8), np.uint8), "labels": np.array([0, 1, 0, 1])} | named
        np.savez(folder.path / "x.npz", **{name: array for name, array in whole.items() if array is not None})
        return folder.sweep("x.npz")

    return make


def forbidden(name: str) -> Make:
    """Take all permissions from `name` in the folder of photos."""
    return photos(lambda folder: (folder.path / "photos" / name).chmod(0))


def same_but_for_case(folder: Folder) -> Sequence[str]:
    folder.photos(classes=("Dog", "dog"))
    return folder.sweep("photos")


def splits_for_classes(folder: Folder) -> Sequence[str]:
    folder.photos(classes=("train", "val"))
    return folder.sweep("photos")


def flat(folder: Folder) -> Sequence[str]:
    folder.photo("photos/1.png")
    folder.write("photos/labels.csv", "image,label\n1.png,cat\n")
    return folder.sweep("photos")


def without_images(folder: Folder) -> Sequence[str]:
    folder.write("photos/cat/notes.txt", "")
    return folder.sweep("photos")


def many_labels(folder: Folder) -> Sequence[str]:
    memory = fsspec.filesystem("memory")
    for number in range(10_000):
        memory.pipe_file(f"/labels/{number}.png", b"")
    memory.pipe_file("/labels/list.csv", b"image,label\n" + b"\n".join(b"%d.png,%d" % (n, n) for n in range(10_000)))
    return folder.sweep("memory://labels/list.csv")


def behind_a_uri(folder: Folder) -> Sequence[str]:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/errors/list.csv", b"image,label\n../elsewhere.png,cat\n")
    return folder.sweep("memory://errors/list.csv")


def unwritable(folder: Folder) -> Sequence[str]:
    folder.photos()
    (folder.path / "home").mkdir()
    folder.write("home/data", "in the way")
    return [*folder.sweep("photos")[:-1], "home"]


def without_elpv(folder: Folder) -> Sequence[str]:
    folder.during.enter_context(mock.patch.dict(sys.modules, {"elpv_dataset": None}))
    return folder.sweep("elpv")


def damaged_store(folder: Folder) -> Sequence[str]:
    from search_spaces import DataSpec
    from trainables.stores.prepared import prepare_data

    folder.photos()
    kept = prepare_data(
        DataSpec(source="photos", image_size=32), base_dir=folder.path, root=folder.path / "home" / "data"
    )
    (kept.folder / "images.npy").write_bytes(b"")
    return [*folder.sweep("photos")[:-1], "home"]


def uneven(folder: Folder) -> Sequence[str]:
    held = {"ant": (0, 1, 4, 5), "bee": (0, 2, 4, 5), "cow": (1, 2, 3, 5)}
    lines = ["image,label,patient"]
    for label, numbers in held.items():
        for number in numbers:
            folder.photo(f"{label}{number}.png", number)
            lines.append(f"{label}{number}.png,{label},{number}")
    folder.write("list.csv", "\n".join(lines))
    return folder.sweep("list.csv", "data: {source: list.csv, split: {group: patient}}")


_IN_SPLITS = "image,label,split\n"

SOURCES = Section(
    "Sources of images",
    "`meltpoint run sweep.yaml`, before any trial starts. `photos` is a folder with the class folders `cat` and `dog`.",
    1,
    [
        source("phots"),
        source("digit"),
        source("./phots"),
        source("list.csv"),
        source("sweep.yaml"),
        source("torchvision:CIFAR"),
        Case(
            "`data: {source: torchvision:CIFAR10}`, without a network",
            lambda folder: folder.sweep("torchvision:CIFAR10"),
        ),
        Case("`data: {source: elpv}`, without its package", without_elpv),
        source("s4://bucket/photos"),
        source("ftp://127.0.0.1:9/photos"),
        source("gs://bucket/photos"),
        source("http://127.0.0.1:9/photos"),
        source("http://127.0.0.1:9/list.csv"),
        source("memory://nowhere/photos"),
        source("memory://nowhere/list.csv"),
        source("photos", "data: {source: photos, split: {group: patient}}"),
        source("torchvision:MNIST", "data: {source: 'torchvision:MNIST', root: 'memory://mnist'}"),
        Case("a folder that may not be read", forbidden("")),
        Case("a class folder that may not be read", forbidden("dog")),
        Case("a folder without images", without_images),
        Case("photos in no class folder, and `labels.csv` beside them", flat),
        Case("a folder with one class", photos(only_class)),
        Case("`train` has folders, `bus` beside it has none", folders("train/new", "train/old", "bus")),
        Case("`val` and `test`, but no images to train on", folders("val/cat", "val/dog", "test/cat")),
        Case("a class in `test` that `train` does not have", folders("train/cat", "train/dog", "test/bird")),
        Case(
            "`more` beside `train` and `test`, with their classes",
            folders("train/cat", "train/dog", "test/cat", "more/cat"),
        ),
        Case("`layout: class/split` for other folders", folders("train/cat", "val/cat", layout="class/split")),
        Case("`layout` for a registered set", layout_of_digits),
        Case("an empty class folder", photos(lambda folder: (folder.path / "photos/bird").mkdir())),
        Case("two classes with the same name but for case", same_but_for_case),
        Case("folders `train` and `val` instead of classes", splits_for_classes),
    ],
)

ARCHIVES = Section(
    "Archives and arrays",
    "`data: {source: x.zip}`, `x.tar`, WebDataset shards, `zip://FOLDER::x.zip`, or `x.npz`.",
    1,
    [
        Case("no such archive", lambda folder: folder.sweep("photos.tar.gz")),
        Case("`train-{0..3}.tar`, and only `train-0.tar` exists", some_shards),
        source("zip:///data/photos.zip"),
        Case(
            "`zip://foto::photos.zip`",
            lambda f: (packed("photos.zip", lambda _: {"photos/a/1.png": b""})(f), f.sweep("zip://foto::photos.zip"))[
                1
            ],
        ),
        Case(
            "the same, and the archive has no folders",
            lambda f: (packed("photos.zip", samples_with())(f), f.sweep("zip://foto::photos.zip"))[1],
        ),
        Case(
            "`zip://list.csv::photos.zip`, which has no such file",
            lambda f: (packed("photos.zip", samples_with())(f), f.sweep("zip://list.csv::photos.zip"))[1],
        ),
        Case("a zip file that is cut off", cut_off("photos.zip")),
        Case("a compressed tar file that is cut off", cut_off("photos.tar.gz")),
        Case("a tar file that ends after a whole member", cut_at_a_member),
        Case("an encrypted zip file", encrypted),
        Case("an image of more than 1 GiB", large_member),
        Case("an archive of archives", packed("x.tar", lambda _: {"cat.tar": b"", "dog.tar": b""})),
        Case("class numbers beyond the names", packed("x.tar", samples_with(("classes.txt", b"a\nb"), labels="0123"))),
        Case("samples without labels", packed("x.tar", samples_with(labels=["", "", "", ""]))),
        Case("samples of one class", packed("x.tar", samples_with(labels="1111"))),
        Case("a `.cls` file that is no text", packed("x.tar", samples_with(("3.cls", b"\xff"), labels="010"))),
        Case("a `.json` file that is damaged", packed("x.tar", samples_with(*((f"{n}.json", b"{") for n in range(4))))),
        Case(
            "several labels for a sample",
            packed("x.tar", samples_with(*((f"{n}.json", b'{"label": [1, 2]}') for n in range(4)))),
        ),
        Case(
            "two fields that may be the label",
            packed("x.tar", samples_with(*((f"{n}.json", b'{"label": 1, "class": 2}') for n in range(4)))),
        ),
        Case(
            "captions in `.txt` files",
            packed("x.tar", samples_with(*((f"{n}.txt", b"photo no. %d" % n) for n in range(4)))),
        ),
        Case("a file that is no `.npz`", lambda folder: (folder.write("x.npz", "none"), folder.sweep("x.npz"))[1]),
        Case("no such `.npz` file", lambda folder: folder.sweep("x.npz")),
        Case("several labels for an image of an array", arrays(labels=np.zeros((4, 14), int))),
        Case("labels that are Python objects", arrays(labels=np.array(list("abab"), dtype=object))),
        Case("labels that are fractions", arrays(labels=np.array([0, 1, 0, 0.5]))),
        Case("fewer labels than images", arrays(labels=np.array([0, 1]))),
        Case("labels of one class", arrays(labels=np.zeros(4, int))),
        Case("labels beyond the names", arrays(class_names=np.array(["cat"]))),
        Case("images from 0 to 1", arrays(images=np.linspace(0, 1, 256).reshape(4, 8, 8))),
        Case("flat images", arrays(images=np.zeros((4, 64), np.uint8))),
        Case("images of text", arrays(images=np.full((4, 8, 8), "0"))),
        Case("two arrays of images", arrays(x=np.zeros((4, 8, 8), np.uint8))),
        Case("no arrays", arrays(images=None, labels=None)),
        Case("arrays of other names", arrays(images=None, labels=None, a=np.zeros((4, 8)), b=np.zeros((4, 8)))),
    ],
)

IMAGES = Section(
    "Images",
    "At most 1 % of the images may be unreadable: they are skipped and listed. Here it is one of ten.",
    1,
    [
        Case("an empty file", one_file(b"")),
        Case("a file that may not be read", forbidden("dog/3.png")),
        Case("a file that is no image", one_file(b"<html>404</html>")),
        Case("a truncated image", photos(truncated)),
        Case("a PNG whose pixels are missing", one_file(png(100, 100))),
        Case("a decompression bomb, 30,000 px square", one_file(png(30_000, 30_000))),
        Case("an image of 11,000 px square", one_file(png(11_000, 11_000))),
        Case("a TIFF of floating-point numbers", photos(floating)),
        Case(
            "a file that is damaged otherwise", photos(lambda folder: folder.write("photos/dog/9.ppm", "P6 8 x 255\n"))
        ),
        loads("return [(np.zeros((8, 8, 2), np.uint8), label) for label in ['cat', 'dog'] * 5]"),
        Case("a link to nothing", photos(lambda folder: (folder.path / "photos/dog/9.png").symlink_to("gone.png"))),
    ],
    ray=True,
)

STORES = Section(
    "Decoded images",
    "Decoded images are kept in the home's folder `data`.",
    1,
    [
        Case("`data` in the home is a file", unwritable),
        Case("decoded images that something emptied", damaged_store, {"data/[0-9a-f]{16}": "data/4ddd668941143b44"}),
    ],
    ray=True,
)

MANIFESTS = Section(
    "Manifests",
    "`data: {source: list.csv}` or another manifest. The message has a line for each kind of mistake: the first row "
    "that makes it, and the number of others.",
    1,
    [
        Case("Parquet files with images, of which one has no label", shards(lambda c: {"image": c["image"]})),
        Case("Parquet rows without an image", shards(lambda c: c | {"image": [b"x", None, *c["image"][2:]]})),
        Case("Parquet rows that name files elsewhere instead of holding images", named_in_rows("/data/1.png")),
        Case("Parquet rows that hold nothing", named_in_rows(None)),
        Case("a Parquet file with images and two columns that may be the label", unnamed()),
        Case("`columns: {image: foto}` for it", unnamed("label: fine", "image: foto")),
        Case("`columns: {label: fine, split: part}` for it", unnamed("label: fine", "split: part")),
        Case(
            "a group that it does not have",
            shards(lambda c: c, "data: {source: photos, image_size: 32, split: {group: farm}}"),
        ),
        Case("`columns` for a folder of photos", columns_of_photos),
        Case("a metadata.csv beside photos, with two columns that may be the label", metadata_of_photos),
        Case("a Parquet file without the column", parquet(lambda columns: {"image": columns["image"]})),
        Case("a Parquet label that is NaN", parquet(lambda c: c | {"label": [float("nan"), *[1.0] * 4, *[2.0] * 5]})),
        Case("a Parquet label that is null", parquet(lambda c: c | {"label": [None, *c["label"][1:]]})),
        Case("a Parquet row twice", parquet(lambda c: c | {"image": [c["image"][1], *c["image"][1:]]})),
        Case("a Parquet column of lists", parquet(lambda c: c | {"label": [[label] for label in c["label"]]})),
        Case("a Parquet file without rows", parquet(lambda c: {"image": c["image"][:0], "label": c["label"][:0]})),
        Case(
            "a file that is no Parquet",
            lambda folder: (folder.write("list.parquet", "image,label\n"), folder.sweep("list.parquet"))[1],
        ),
        Case("a folder `list.csv` without classes", lambda f: (f.write("list.csv/a", ""), f.sweep("list.csv"))[1]),
        Case("an empty CSV", csv("")),
        Case("a CSV of the header alone", csv("image,label\n")),
        Case("a CSV without the column `label`", csv("image\nphotos/cat/0.png")),
        Case(
            "two columns that may be the label",
            csv("image,breed,colour\n" + rows(lambda _, n: ",red" if n else ",blue")),
        ),
        Case(
            "one column that may be the label, beside one that differs in each row",
            csv("image,breed,number\n" + rows(lambda label, n: f",{label}{n}")),
        ),
        Case("two columns with plain names of images", csv("file,path,label\nphotos/cat/0.png,photos/cat/0.png,cat")),
        Case("a CSV without a column of images", csv("photo of,label\nROWS")),
        Case("a CSV without a header", csv("ROWS")),
        Case(
            "`columns: {label: bread}`, and no such column",
            csv("image,breed\nROWS", "data: {source: list.csv, image_size: 32, columns: {label: bread}}"),
        ),
        Case(
            "columns for each class, of which no row or several have a 1",
            csv("image,cat,dog\nphotos/cat/0.png,1,0\nphotos/cat/1.png,0,0\nphotos/dog/0.png,1,1"),
        ),
        Case("an id that fits `0.png` and `0.jpg`", two_of_a_name),
        Case("JSON lines with a line that is cut off", json_lines('{"image": "photos/cat/0.png", "label": "c')),
        Case("JSON lines with a list", json_lines('["photos/cat/0.png", "cat"]')),
        Case("a column twice", csv("image,label,label\nphotos/cat/0.png,cat,dog")),
        Case("a row with a cell too few", csv("image,label\nphotos/cat/0.png")),
        Case("an open quotation mark", csv('image,label\n"photos/cat/0.png,cat')),
        Case("a CSV in Latin-1", csv("image,label\ncafé.png,cat".encode("latin-1"))),
        Case("an empty label", csv("image,label\nphotos/cat/0.png,\nphotos/dog/0.png,dog")),
        Case("a label `nan`", csv("image,label\nphotos/cat/0.png,nan\nphotos/dog/0.png,dog")),
        Case("an image that is missing", csv("image,label\nphotos/cat/9.png,cat\nphotos/dog/0.png,dog")),
        Case("an image listed twice", csv("image,label\nphotos/cat/0.png,cat\nphotos/cat/./0.png,dog")),
        Case("`../elsewhere.png`, outside the root", csv("image,label\n../elsewhere.png,cat\nphotos/dog/0.png,dog")),
        Case("`/etc/passwd`, outside the root", csv("image,label\n/etc/passwd,cat\nphotos/dog/0.png,dog")),
        Case("a path that leaves a bucket", behind_a_uri),
        Case(
            "twelve rows without their image",
            csv("image,label\n" + "\n".join(f"gone/{n}.jpg,cat" for n in range(12))),
        ),
        Case("images that lie in the folder `photos/cat`", csv("id,label\n" + "\n".join(f"{n},a" for n in range(5)))),
        Case("paths of another machine", csv("image,label\n" + rows().replace("photos/", "D:\\pets\\"))),
        Case("one class", csv("image,label\nphotos/cat/0.png,cat\nphotos/cat/1.png,cat")),
        Case("labels `Cat` and `cat`", csv("image,label\nphotos/cat/0.png,Cat\nphotos/cat/1.png,cat")),
        Case("10,000 labels, an image each", many_labels),
        Case(
            "`split: {group: patient}`, and no such column",
            csv("image,label,pateint\n" + rows(lambda *_: ",1"), "data: {source: list.csv, split: {group: patient}}"),
        ),
    ],
)

SPLITS = Section(
    "Splits",
    "The default shares need at least four images (or groups) of each class.",
    1,
    [
        Case("a class of two images", photos(few)),
        Case("a class of five copies with `copies: together`", copies),
        Case(
            "a class with two groups",
            csv(
                "image,label,patient\n" + rows(lambda label, number: f",{label}-{number % 2}"),
                "data: {source: list.csv, split: {group: patient}}",
            ),
        ),
        Case("three classes in six groups, which leave a split without one", uneven),
        Case("split `tain`", csv(_IN_SPLITS + rows(lambda _, n: ",tain" if n else ",val"))),
        Case(
            "no `val` of one class",
            csv(_IN_SPLITS + rows(lambda label, n: ",train" if n or label == "cat" else ",val")),
        ),
        Case(
            "a group in two splits",
            csv(
                "image,label,split,patient\n" + rows(lambda _, n: f",{'train' if n else 'val'},{n // 2}"),
                "data: {source: list.csv, split: {group: patient}}",
            ),
        ),
    ],
)
