"""WebDataset shards: tar files in which a sample's files share a name up to the first dot, such as 07.jpg and 07.cls.

Convention: https://github.com/webdataset/webdataset
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np

from search_spaces.errors import did_you_mean, show
from search_spaces.sweeps import DataColumns
from trainables.datasets.archives.folders import ArchiveFolder
from trainables.datasets.archives.members import ArchiveMember
from trainables.datasets.images import SUFFIXES
from trainables.datasets.layouts import split_of_path
from trainables.datasets.splits import SPLITS
from trainables.datasets.tables import ImageTable, LeftOut, check_class_names
from trainables.errors import DataError

__all__ = ["is_web_dataset", "load_web_dataset"]

_CLASS_NAMES: Final = ("classnames.txt", "classes.txt")
_FIELDS: Final = ("label", "class", "cls", "label_name", "class_name", "category", "target")
_LOOKED_AT: Final = 100

Sample = Mapping[str, ArchiveMember]
"""Extension, all after the first dot of a file's name -> file."""


def is_web_dataset(archives: ArchiveFolder) -> bool:
    """Return if the files are WebDataset samples.

    They are if some are `.cls`. They are too if each image has a `.json` or `.txt` file of its name, and all images
    lie in one folder.
    """
    if any(name.lower().endswith(".cls") for name in archives.files):
        return True
    with_image = [sample for sample in _group(archives.files).values() if _image_of(sample)]
    if not with_image or not all({"json", "txt"} & set(sample) for sample in with_image):
        return False
    several = len(archives.archives) > 1
    inner = (name.partition("/")[2] if several else name for name in archives.files if _is_image(name))
    return len({PurePosixPath(name).parent for name in inner}) == 1


def load_web_dataset(archives: ArchiveFolder, columns: DataColumns) -> ImageTable:
    """List the images of WebDataset shards.

    The label is the text of a sample's `.cls` file, a field of its `.json`, or its `.txt`. Class numbers are named by
    the lines of `classnames.txt` or `classes.txt`, in a shard or beside the shards. Splits come from the names of
    shards and folders, such as `train-000000.tar`; splits that none names are cut from the training images.

    Args:
        archives: the shards.
        columns: `label` names an extension or a field of the `.json` files; None to find it.

    Raises:
        DataError: labels are missing, can be chosen in several ways, or are several for an image, or there are fewer
            than two classes.
    """
    place, samples = archives.place, _group(archives.files)
    read, where = _find_label(place, list(samples.values()), columns.label)
    rows: list[tuple[str, ArchiveMember, str, str]] = []
    left_out = [pair for pair in archives.left_out if PurePosixPath(pair[1]).name not in _CLASS_NAMES]
    roles = _roles(archives, samples)
    for key, sample in samples.items():
        extension = _image_of(sample)
        if extension is None:
            names = (f"{key}.{other}" for other in sample)
            left_out += [("in no sample with an image", n) for n in names if PurePosixPath(n).name not in _CLASS_NAMES]
            continue
        name, label, split = f"{key}.{extension}", read(sample), roles[key]
        if split not in SPLITS:
            left_out.append(("in a shard whose name tells no split", name))
        elif not label:
            left_out.append(("without a label", name))
        else:
            rows.append((name, sample[extension], label, "" if split == "train" else split))
    if where != ".cls":
        _check_texts(place, where, Counter(label for _, _, label, _ in rows))
    labels, classes, file = _name_classes(archives, [label for _, _, label, _ in rows])
    if len(classes) < 2:
        only = f"only {show(classes[0])}" if classes else "no labels"
        raise DataError(f"data.source: {place}: must hold at least two classes ({only} in {where})")
    check_class_names(classes, f"data.source: {place}")
    splits = np.array([split for _, _, _, split in rows])
    named = "" if file is None else f", class names in {file}"
    return ImageTable(
        name=archives.name,
        images=[image for _, image, _, _ in rows],
        names=tuple(name for name, _, _, _ in rows),
        labels=labels,
        classes=classes,
        split=splits if np.any(splits != "") else None,
        layout=f"WebDataset samples {archives.where}, labels in {where}{named}",
        left_out=LeftOut.group(left_out),
    )


def _group(files: Mapping[str, ArchiveMember]) -> dict[str, dict[str, ArchiveMember]]:
    samples: dict[str, dict[str, ArchiveMember]] = {}
    for name, file in files.items():
        folder, slash, base = name.rpartition("/")
        stem, dot, extension = base.partition(".")
        if stem and dot and not name.startswith("__MACOSX"):
            samples.setdefault(f"{folder}{slash}{stem}", {})[extension.lower()] = file
    return samples


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def _image_of(sample: Iterable[str]) -> str | None:
    """Return the extension of a sample's image: `jpg` rather than `mask.png`."""
    images = [extension for extension in sample if _is_image(f"x.{extension}")]
    return min(images, key=lambda extension: extension.count("."), default=None)


def _roles(archives: ArchiveFolder, samples: Iterable[str]) -> dict[str, str | None]:
    start = f"{archives.archives[0]}/" if len(archives.archives) == 1 else ""
    roles = {key: split_of_path(f"{start}{key}".rpartition("/")[0]) for key in samples}
    return roles if any(roles.values()) else dict.fromkeys(roles, "train")


def _find_label(
    place: Path | str, samples: list[dict[str, ArchiveMember]], wanted: str | None
) -> tuple[Callable[[Sample], str], str]:
    """Return a function that reads a sample's label, and the label's place for people."""
    labelled = [sample for sample in samples if _image_of(sample)]
    extensions = {extension for sample in labelled for extension in sample if not _is_image(f"x.{extension}")}
    chosen = wanted or ("cls" if "cls" in extensions else None)
    if chosen in extensions - {"json"}:
        extension = str(chosen)
        return lambda sample: _text(sample[extension]) if extension in sample else "", f".{extension}"
    described = [sample["json"] for sample in labelled if "json" in sample][:_LOOKED_AT]
    fields = list(dict.fromkeys(name for file in described for name in _fields(file)))
    usual = [name for name in fields if name.lower() in _FIELDS]
    field = wanted or (usual[0] if len(usual) == 1 else None)
    if field is None and not usual and "txt" in extensions:
        return lambda sample: _text(sample["txt"]) if "txt" in sample else "", ".txt"
    if field is None or field not in fields:
        choice = ", ".join([*(usual or fields), *sorted(extensions - {"json"})])
        hint = "" if wanted is None else f" ({show(wanted)}){did_you_mean(wanted, fields)}"
        raise DataError(f"data.source: {place}: data.columns.label must name the labels: one of {choice}{hint}")
    return lambda sample: _value(sample["json"], field) if "json" in sample else "", f"`{field}` of .json"


def _text(file: ArchiveMember) -> str:
    try:
        return file.read().decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise DataError(f"data.source: {file}: must hold a class as UTF-8 text") from None


def _fields(file: ArchiveMember) -> dict[str, Any]:
    try:
        content = json.loads(file.read())
    except ValueError as error:
        raise DataError(f"data.source: {file}: must be JSON ({error})") from None
    return content if isinstance(content, dict) else {}


def _value(file: ArchiveMember, field: str) -> str:
    value = _fields(file).get(field)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list | dict):
        raise DataError(f"data.source: {file}: {field}: must be one class for an image ({show(json.dumps(value))})")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _check_texts(place: Path | str, where: str, counts: Counter[str]) -> None:
    """Raise DataError if texts look like captions: if most images have one that no other has."""
    single = sum(1 for count in counts.values() if count == 1)
    if len(counts) > 2 and single > counts.total() / 2:
        example = next(label for label, count in counts.items() if count == 1)
        raise DataError(
            f"data.source: {place}: {where} must hold the same class for several images: {single:,} of "
            f"{counts.total():,} images have a text of their own ({show(example)}); data.columns.label names another "
            f"extension, or a field of .json"
        )


def _name_classes(
    archives: ArchiveFolder, labels: list[str]
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], tuple[str, ...], str | None]:
    """Return labels (N,) int64, the classes' names, and the file that has them."""
    used = set(labels)
    if not all(label.isdecimal() for label in used):
        classes = sorted(used)
        code = {label: position for position, label in enumerate(classes)}
        return np.array([code[label] for label in labels], dtype=np.int64), tuple(classes), None
    numbers = sorted(set(map(int, used)))
    place = {number: position for position, number in enumerate(numbers)}
    coded = np.array([place[int(label)] for label in labels], dtype=np.int64)
    file, names = _read_class_names(archives)
    if file is None:
        return coded, tuple(map(str, numbers)), None
    if numbers and numbers[-1] >= len(names):
        raise DataError(
            f"data.source: {archives.place}: class numbers must be 0 to {len(names) - 1}, since {file} has "
            f"{len(names)} lines ({numbers[-1]})"
        )
    return coded, tuple(names[number] for number in numbers), file


def _read_class_names(archives: ArchiveFolder) -> tuple[str | None, list[str]]:
    for name, content in _class_files(archives):
        lines = [line.strip() for line in content.decode("utf-8-sig", errors="replace").splitlines()]
        lines = lines[: len(lines) - next((n for n, line in enumerate(reversed(lines)) if line), 0)]
        repeated = {line for line, count in Counter(lines).items() if count > 1}
        return name, [f"{line} {number}".strip() if line in repeated else line for number, line in enumerate(lines)]
    return None, []


def _class_files(archives: ArchiveFolder) -> Iterator[tuple[str, bytes]]:
    for wanted in _CLASS_NAMES:
        beside = archives.find_beside(wanted)
        if beside is not None:
            yield wanted, beside.read_bytes() if isinstance(beside, Path) else beside.read()
    for name, file in archives.files.items():
        if PurePosixPath(name).name in _CLASS_NAMES:
            yield name, file.read()
