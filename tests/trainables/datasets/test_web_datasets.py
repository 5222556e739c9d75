"""WebDataset shards: samples, labels, class names and splits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import fsspec
import pytest

from search_spaces.sweeps import DataColumns
from tests.archive_files import encoded, pack, samples
from trainables.datasets import ImageTable
from trainables.datasets.sources import load_table
from trainables.errors import DataError


def load(place: object, **options: object) -> ImageTable:
    return load_table(str(place), base_dir=Path(), **options)  # type: ignore[arg-type]


def by_split(table: ImageTable) -> dict[str, int]:
    splits = table.split.tolist() if table.split is not None else [""] * len(table.images)
    return {split: splits.count(split) for split in sorted(set(splits))}


def left_out(table: ImageTable) -> dict[str, int]:
    return {group.reason: group.files for group in table.left_out}


def described(fields: Mapping[str, object], number: int = 0) -> dict[str, bytes]:
    return {f"{number:04d}.png": encoded(number), f"{number:04d}.json": json.dumps(fields).encode()}


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    for number, (split, files) in enumerate([("train", 6), ("train", 6), ("val", 4), ("test", 4)]):
        pack(tmp_path / "set" / f"birds-{split}-{number % 2:06d}.tar", samples(files, first=10 * number))
    (tmp_path / "set" / "classnames.txt").write_text("barn owl\nwren\nrobin\n\n")
    return tmp_path / "set"


def test_shards_are_read_with_classes_and_splits(shards: Path) -> None:
    table = load(shards)

    assert table.name == "set"
    assert table.classes == ("barn owl", "wren")
    assert by_split(table) == {"": 12, "test": 4, "val": 4}
    assert table.names[0] == "birds-test-000001/000030.jpg"
    assert table.labels.tolist()[:4] == [0, 1, 0, 1]
    assert table.images[0].read() == encoded(30, "JPEG")
    assert table.layout == "WebDataset samples in 4 archives, labels in .cls, class names in classnames.txt"
    assert table.left_out == ()


@pytest.mark.parametrize(
    ("pattern", "splits"),
    [
        ("birds-train-{000000..000001}.tar", {"": 12}),
        ("birds-{train,val,test}-*.tar", {"": 12, "test": 4, "val": 4}),
        ("birds-{train-00000{0..1},val-000000}.tar", {"": 12, "val": 4}),
        ("birds-t*-00000[01].tar", {"": 12, "test": 4}),
        ("birds-train-000000.tar", {"": 6}),
    ],
)
@pytest.mark.parametrize("remote", [False, True])
def test_patterns_name_shards(shards: Path, pattern: str, splits: dict[str, int], remote: bool) -> None:
    place = f"{shards}/{pattern}"
    if remote:
        files = fsspec.filesystem("memory")
        for file in shards.iterdir():
            files.pipe(f"/web/{file.name}", file.read_bytes())
        place = f"memory://web/{pattern}"

    table = load(place)

    assert by_split(table) == splits
    assert table.classes == ("barn owl", "wren")


def test_missing_shards_are_one_error(shards: Path) -> None:
    with pytest.raises(DataError, match=r"no such file: .*train-000002\.tar \(8 of 10 files of .* are missing\)$"):
        load(shards / "birds-train-{000000..000009}.tar")
    with pytest.raises(DataError, match=r"no such file: .*/wren-\*\.tar$"):
        load(shards / "wren-*.tar")


def test_folders_tell_splits_as_in_sets_for_benchmarks(tmp_path: Path) -> None:
    for split in ("train", "test"):
        pack(tmp_path / split / "0.tar", {f"s{name}": content for name, content in samples(6).items()})
        (tmp_path / split / "nshards.txt").write_text("1\n")

    table = load(tmp_path)

    assert by_split(table) == {"": 6, "test": 6}
    assert table.classes == ("0", "1")
    assert left_out(table) == {"beside the archives": 2}


def test_labels_of_text_and_of_fields(tmp_path: Path) -> None:
    files = {f"{n:04d}.cls": ("wren", "owl")[n % 2].encode() for n in range(4)}
    files |= {f"{n:04d}.mask.png": encoded(9) for n in range(4)} | {f"{n:04d}.png": encoded(n) for n in range(4)}
    words = load(pack(tmp_path / "cls.tar", files))
    texts = load(pack(tmp_path / "txt.tar", {n.replace(".cls", ".txt"): content for n, content in files.items()}))
    fields = [described({"label": n % 2, "width": 10}, n) for n in range(4)]
    numbers = load(
        pack(tmp_path / "json.tar", {name: content for sample in fields for name, content in sample.items()})
    )

    assert words.classes == texts.classes == ("owl", "wren")
    assert words.names == texts.names == tuple(f"{n:04d}.png" for n in range(4))
    assert (numbers.classes, numbers.labels.tolist()) == (("0", "1"), [0, 1, 0, 1])
    assert numbers.layout == "WebDataset samples in json.tar, labels in `label` of .json"


def test_the_sweep_file_names_the_label(tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    for number in range(12):
        files |= described({"label": number % 2, "species": "ab"[number % 2], "meta": {"x": 1}}, number)
        files[f"{number:04d}.cls"] = str(number % 3).encode()
    source = pack(tmp_path / "x.tar", files)

    assert load(source).classes == ("0", "1", "2")
    assert load(source, columns=DataColumns(label="species")).classes == ("a", "b")
    assert load(source, columns=DataColumns(label="label")).classes == ("0", "1")
    with pytest.raises(DataError, match=r"one of label, cls \(specis\); did you mean species\?"):
        load(source, columns=DataColumns(label="specis"))


def test_numbers_keep_their_order_and_repeated_names_stay_apart(tmp_path: Path) -> None:
    numbered = load(pack(tmp_path / "a.tar", samples(24, classes=12)))
    assert numbered.classes == tuple(map(str, range(12)))
    assert numbered.labels.tolist()[:12] == list(range(12))

    names = ["crane", "wren", "crane", *(f"bird {number}" for number in range(3, 12))]
    named = load(pack(tmp_path / "b.tar", samples(24, classes=12) | {"classes.txt": "\n".join(names).encode()}))
    assert named.classes[:3] == ("crane 0", "wren", "crane 2")
    assert left_out(named) == {}


def test_what_is_no_labelled_image_is_counted(tmp_path: Path) -> None:
    files = samples(6) | {"000000.cls": b"", "9.cls": b"1", "README": b"", "__MACOSX/._3.jpg": b"x", "8.txt": b"owl"}
    pack(tmp_path / "x-train-0.tar", files)
    pack(tmp_path / "x-extra-0.tar", samples(2, first=50))

    table = load(tmp_path)

    assert len(table.images) == 5
    assert left_out(table) == {
        "in a shard whose name tells no split": 2,
        "in no sample with an image": 2,
        "without a label": 1,
    }


def test_sidecar_files_in_class_folders_are_no_samples(tmp_path: Path) -> None:
    files = {f"{label}/{n}.{kind}": encoded(n) for label in "ab" for n in range(3) for kind in ("png", "json")}

    assert load(pack(tmp_path / "x.tar", files)).classes == ("a", "b")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({f"{n}.txt": f"a photo {n}".encode() for n in range(4)}, r"\.txt must hold the same class .* 4 of 4 images"),
        ({f"{n}.json": b'{"label": [1, 2]}' for n in range(4)}, r"0\.json: label: must be one class .* \(\[1, 2\]\)"),
        ({f"{n}.json": b'{"label": 1, "class": 2}' for n in range(4)}, r"must name the labels: one of label, class$"),
        ({f"{n}.json": b'{"width": 1}' for n in range(4)}, r"must name the labels: one of width$"),
        ({f"{n}.json": b"{" for n in range(4)}, r"x\.tar: 0\.json: must be JSON"),
        ({f"{n}.cls": b"\xff" for n in range(4)}, r"x\.tar: 0\.cls: must hold a class as UTF-8 text"),
        ({f"{n}.cls": b"7" for n in range(4)}, r"at least two classes \(only 7 in \.cls\)"),
        ({f"{n}.cls": b"" for n in range(4)}, r"at least two classes \(no labels in \.cls\)"),
        (
            {"classes.txt": b"a\nb"} | {f"{n}.cls": b"%d" % n for n in range(4)},
            r"class numbers must be 0 to 1, since classes\.txt has 2 lines \(3\)",
        ),
        ({f"{n}.cls": (b"Owl", b"owl")[n % 2] for n in range(4)}, r"classes must differ in more than case"),
    ],
)
def test_mistakes(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    images = {f"{n}.png": encoded(n) for n in range(4)}

    with pytest.raises(DataError, match=rf"^data\.source: .*{message}"):
        load(pack(tmp_path / "x.tar", images | files))


def test_groups_are_columns_of_manifests(shards: Path) -> None:
    with pytest.raises(DataError, match=r"data\.split\.group: only a manifest or metadata file has columns"):
        load(shards, group="site")
