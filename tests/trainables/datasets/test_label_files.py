"""Label files as people have them: other columns, delimiters, encodings and paths."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are no dependency
from PIL import Image

from search_spaces.sweeps import DataColumns
from tests.trainables.datasets.photos import NAMES, write_photos
from trainables.datasets import ImageTable
from trainables.datasets.sources import load_table
from trainables.errors import DataError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos")


def load(folder: Path, text: str | bytes, *, name: str = "list.csv", **options: object) -> ImageTable:
    """Write a label file into a folder, and read it."""
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_table(name, base_dir=folder, **options)  # type: ignore[arg-type]


def labelled(table: ImageTable) -> dict[str, str]:
    return {name: table.classes[code] for name, code in zip(table.names, table.labels, strict=True)}


def refusal(folder: Path, text: str | bytes, **options: object) -> str:
    with pytest.raises(DataError) as refused:
        load(folder, text, **options)  # type: ignore[arg-type]
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


EXPECTED = {"cat/1.png": "k", "dog/1.png": "h"}


@pytest.mark.parametrize(
    "text",
    [
        "image,label\ncat/1.png,k\ndog/1.png,h\n",
        "file_name,label\ncat/1.png,k\ndog/1.png,h\n",
        "Filename,Class\ncat/1.png,k\ndog/1.png,h\n",
        "class id,filepaths,labels\n3,cat/1.png,k\n4,dog/1.png,h\n",
        ",image_id,width,target\n0,cat/1,8,k\n1,dog/1,9,h\n",
        "id,breed\ncat/1,k\ndog/1,h\n",
        "breed;image\nk;cat/1.png\nh;dog/1.png\n",
        "image\tlabel\ncat/1.png\tk\ndog/1.png\th\n",
        "sep=;\r\nimage;label\r\ncat/1.png;k\r\ndog/1.png;h\r\n",
        "image|label\ncat/1.png|k\ndog/1.png|h\n",
        "image,label\ncat\\1.png,k\n.\\dog\\1.png,h\n",
        "image,k,h\ncat/1.png,1,0\ndog/1.png,0,1\n",
        "image;h;k\ncat/1.png;0,0;1,0\ndog/1.png;1,0;0,0\n",
        "image,patient,k,h,m\ncat/1,7,1.0,0.0,0.0\ndog/1,7,0.0,1.0,0.0\n",
        "image,k,h\ncat/1.png,True,False\ndog/1.png,False,True\n",
        "\n\nimage,label\n\ncat/1.png,k\ndog/1.png,h\n\n",
    ],
)
def test_label_files_of_many_kinds_say_the_same(photos: Path, text: str) -> None:
    assert labelled(load(photos, text)) == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_gives_the_encoding(photos: Path, encoding: str) -> None:
    table = load(photos, "image\tlabel\ncat/1.png\tKäfer\ndog/1.png\tŻuk\n".encode(encoding), name="list.tsv")

    assert labelled(table) == {"cat/1.png": "Käfer", "dog/1.png": "Żuk"}


def test_json_lines_are_read(photos: Path) -> None:
    lines = [{"file_name": "cat/1.png", "label": 3, "box": [1, 2]}, {"label": 10, "file_name": "dog/1.png"}]
    text = "\n".join(map(json.dumps, lines)) + "\n"

    assert labelled(load(photos, text, name="list.jsonl")) == {"cat/1.png": "3", "dog/1.png": "10"}
    assert ":3: must be a JSON object on a line (Expecting" in refusal(photos, text + "{", name="list.jsonl")
    assert ":3: must be a JSON object on a line (list)" in refusal(photos, text + "[]", name="list.jsonl")
    assert ":2: label: must not be empty" in refusal(
        photos, '{"image": "cat/1.png", "label": "x"}\n{"image": "dog/1.png"}', name="list.jsonl"
    )


def test_a_file_is_first_looked_for_as_it_is_written(photos: Path) -> None:
    for name in ("a\\b.png", "plain"):
        (photos / name).write_bytes((photos / NAMES[0]).read_bytes())
    (photos / "plain.png").write_bytes((photos / NAMES[1]).read_bytes())

    table = load(photos, "image,label\na\\b.png,x\nplain,y\n")

    assert table.names == ("a\\b.png", "plain")


def test_an_id_that_fits_several_files_needs_its_suffix(photos: Path) -> None:
    Image.new("L", (8, 8)).save(photos / "cat" / "1.jpg")

    message = refusal(photos, "image,label\ncat/1,x\ndog/1,y\n")

    assert message.endswith(":2: image: must have a suffix, since there are 1.jpg and 1.png (cat/1)")


def test_ids_are_read_behind_a_uri(photos: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(photos), "/ids", recursive=True)
    memory.pipe("/ids/list.csv", b"id;label\ncat\\1;k\ndog\\1;h\n")
    memory.pipe("/ids/top.csv", b"id;label\n1;k\n2;h\n")

    assert labelled(load_table("memory://ids/list.csv", base_dir=photos)) == EXPECTED
    with pytest.raises(DataError, match=r"and 1 more \(line 3: 2\): they lie in cat; .* `root: memory://ids/cat`"):
        load_table("memory://ids/top.csv", base_dir=photos)


def test_splits_may_be_spelled_in_other_ways_and_are_cut_where_they_miss(photos: Path) -> None:
    rows = ["cat/1.png,k,Training", "cat/2.png,k,validation", "dog/1.png,h,test", "dog/2.png,,predict"]

    table = load(photos, "\n".join(["image,label,split", *rows]))
    cut = load(photos, "\n".join(["image,label,split", "cat/1.png,k,train", "dog/1.png,h,train", "dog/2.png,h,test"]))
    mixed = load(photos, "\n".join(["image,label,split", "cat/1.png,k,train", "dog/1.png,h,", "dog/2.png,h,val"]))

    assert table.split is not None
    assert table.split.tolist() == ["train", "val", "test"]
    assert [(group.reason, group.examples) for group in table.left_out] == [
        ("with the split predict", ("dog/2.png",)),
    ]
    assert cut.split is not None
    assert cut.split.tolist() == ["", "", "test"]
    assert mixed.split is not None
    assert mixed.split.tolist() == ["train", "", "val"]


def test_how_a_label_file_was_read_is_told(photos: Path) -> None:
    plain = load(photos, "image,label\ncat/1.png,k\ndog/1.png,h\n")
    unread = load(photos, "image,label,data set\ncat/1.png,k,train\ndog/1.png,h,test\n")
    classes = load(photos, "id,k,h,split\ncat/1,1,0,train\ndog/1,0,1,train\n")

    assert plain.layout == "a manifest: images in `image`, labels in `label`"
    assert unread.layout.endswith("; to read the splits in `data set`: `columns: {split: data set}`")
    assert classes.layout == "a manifest: images in `id`, a column for each class (k, h), splits in `split`"
    assert labelled(classes) == EXPECTED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "image,breed,colour\ncat/1.png,k,red\ncat/2.png,k,red\ndog/1.png,h,blue\n",
            ":1: several columns may hold the labels (breed, colour): choose one, such as breed, and write under data: "
            "`columns: {label: breed}`",
        ),
        (
            "path,file,label\na,cat/1.png,k\nb,dog/1.png,h\n",
            ":1: several columns may hold the images (path, file): choose one, such as path, and write under data: "
            "`columns: {image: path}`",
        ),
        (
            "photo of it,label\ncat/1.png,k\ndog/1.png,h\n",
            ":1: the header must have a column `image` (photo of it,label); or write under data: "
            "`columns: {image: photo of it}`",
        ),
        (
            "a,b\n1,2\n",
            ":1: the header must have a column `image` (a,b); or write under data: `columns: {image: NAME}`",
        ),
        (
            "cat/1.png,k\ndog/1.png,h\n",
            ":1: the first line must name the columns, as in image,label (cat/1.png,k)",
        ),
        (
            "image,x: y,z\ncat/1.png,k,a\ncat/2.png,k,b\ndog/1.png,h,c\n",
            ':1: the header must have a column `label`; or write under data: `columns: {label: "x: y"}`',
        ),
        (
            "image,k,h\ncat/1.png,1,0\ncat/2.png,0,0\ndog/1.png,1,1\n",
            ":3: must have a 1 in one of the class columns k, h (none), and 1 more like it: an image",
        ),
        ("image,k,h\ncat/1.png,1,1\ndog/1.png,0,1\n", ":2: must have a 1 in one of the class columns k, h (k, h): "),
    ],
)
def test_a_message_names_the_cause_and_the_line_to_write(photos: Path, text: str, message: str) -> None:
    assert message in refusal(photos, text)


def test_the_line_of_a_message_works(photos: Path) -> None:
    text = 'image,"x: y",z\ncat/1.png,k,a\ncat/2.png,k,b\ndog/1.png,h,c\n'
    line = refusal(photos, text).partition("under data: `")[2].rstrip("`")

    table = load(photos, text, columns=DataColumns(**yaml.safe_load(line)["columns"]))

    assert table.classes == ("h", "k")


def test_missing_images_are_told_once_with_the_folder_that_has_them(photos: Path) -> None:
    rows = "\n".join(f"{number},{'kh'[number % 2]}" for number in range(1, 1001))
    (photos / "train").mkdir()
    for number in (1, 2, 3):
        Image.new("L", (8, 8)).save(photos / "train" / f"{number}.png")

    message = refusal(photos, f"id,label\n{rows}")

    assert message == (
        f"{photos / 'list.csv'}:2: id: no such file (1), and 999 more (lines 3: 2, 4: 3, ...): they lie in train; "
        f"write under data: `root: train`"
    )
    assert labelled(load(photos, "id,label\n1,k\n2,h\n", root="train")) == {"1.png": "k", "2.png": "h"}


def test_paths_of_another_machine_are_told_from_the_files_here(photos: Path) -> None:
    message = refusal(photos, "image,label\nC:\\Users\\me\\cat\\1.png,k\nC:\\Users\\me\\dog\\2.png,h\n")
    nowhere = refusal(photos, "image,label\nfar/away.png,k\nfar/off.png,h\n")

    assert message.endswith(
        f"and 1 more (line 3: C:\\Users\\me\\dog\\2.png): cat/1.png has this name; "
        f"write paths as they are below {photos}"
    )
    assert nowhere.endswith(":2: image: no such file (far/away.png), and 1 more (line 3: far/off.png)")
