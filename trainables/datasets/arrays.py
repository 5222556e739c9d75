"""NumPy files `.npz` with images and labels, such as those of MedMNIST and Keras."""

from __future__ import annotations

import contextlib
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from search_spaces.errors import did_you_mean, show
from search_spaces.sweeps import DataColumns
from trainables.datasets.archives import UnpackedFiles
from trainables.datasets.files import file_stamp, look_up, name_of, open_uri
from trainables.datasets.layouts import split_named_by, without_split
from trainables.datasets.splits import SPLITS
from trainables.datasets.tables import ImageTable, LeftOut, check_class_names
from trainables.errors import DataError

__all__ = ["ARRAYS_SUFFIX", "load_arrays"]

ARRAYS_SUFFIX: Final = ".npz"

_IMAGES: Final = ("images", "image", "imgs", "img", "x", "data", "pixels")
_LABELS: Final = ("labels", "label", "y", "targets", "target", "classes", "class")
_NAMES: Final = ("class_names", "classnames", "label_names", "names", "classes")
_MOST_IN_MEMORY: Final = 2**29
_CHUNK: Final = 4096

Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]


def load_arrays(place: Path | str, *, columns: DataColumns, unpacked: UnpackedFiles) -> ImageTable:
    """List the images of a `.npz` file.

    Arrays are known by the words of their names, `images` or `x` and `labels` or `y`, beside the name of a split:
    `train_images` and `train_labels`, `x_test` and `y_test`. Splits that no name tells are cut from the training
    images, which are all images if no name tells a split. Two arrays of other names are known by their shapes. A text
    array such as `class_names` names the classes.

    Args:
        place: path or URI.
        columns: `image` and `label` give the words, or whole names, of the arrays.
        unpacked: place for local copies of compressed arrays, which are then mapped and not held in memory.

    Raises:
        DataError: no arrays of images and labels, arrays of objects, of wrong shapes or types, several labels for an
            image, or fewer than two classes.
    """
    arrays = _open(place, unpacked)
    pairs = _pair(place, arrays, columns)
    images: list[Pixels] = []
    labels: list[str] = []
    splits: list[str] = []
    rows: list[str] = []
    for pair in pairs:
        pixels = _pixels(f"data.source: {place}: {pair.images}", arrays[pair.images])
        texts = _texts(f"data.source: {place}: {pair.labels}", arrays[pair.labels])
        if len(pixels) != len(texts):
            raise DataError(
                f"data.source: {place}: {pair.images} and {pair.labels} must have as many rows "
                f"({len(pixels):,} and {len(texts):,})"
            )
        images += list(pixels)
        labels += texts
        splits += ["" if pair.split == "train" else pair.split] * len(texts)
        rows += [f"{pair.images}/{row:06d}" for row in range(len(texts))]
    used = {name for pair in pairs for name in (pair.images, pair.labels)}
    names = next((n for name, n in arrays.items() if name not in used and _is_list_of_names(name, n)), None)
    unused = [name for name, array in arrays.items() if name not in used and array is not names]
    codes, classes = _classes(place, labels, names)
    given = np.array(splits)
    return ImageTable(
        name=name_of(place)[: -len(ARRAYS_SUFFIX)],
        images=images,
        names=tuple(rows),
        labels=codes,
        classes=classes,
        split=given if np.any(given != "") else None,
        layout="arrays " + ", ".join(f"{pair.images} with {pair.labels}" for pair in pairs),
        left_out=LeftOut.group(("arrays that are no images with labels", name) for name in unused),
    )


@dataclass(frozen=True, kw_only=True)
class _Pair:
    split: str
    images: str
    labels: str


def _open(place: Path | str, unpacked: UnpackedFiles) -> dict[str, Array]:
    """Return the arrays by their names; large ones are mapped."""
    file = look_up(place) if isinstance(place, str) else place if place.exists() else None
    if file is None:
        raise DataError(f"data.source: no such file: {place}")
    stamp = file_stamp(file)
    try:
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(file.open("rb") if isinstance(file, Path) else open_uri(file.uri))
            archive = stack.enter_context(zipfile.ZipFile(stream))
            infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            in_memory = sum(info.file_size for info in infos) <= _MOST_IN_MEMORY
            return {
                info.filename.removesuffix(".npy"): _read(archive, info, place, None if in_memory else unpacked, stamp)
                for info in infos
            }
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"data.source: {place} must be a whole .npz file ({error})") from None


def _read(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: Path | str, unpacked: UnpackedFiles | None, stamp: str
) -> Array:
    name = info.filename.removesuffix(".npy")
    _check_numbers(archive, info, f"data.source: {place}: {name}")
    if unpacked is None:
        with archive.open(info) as member:
            array: Array = np.lib.format.read_array(member, allow_pickle=False)
            return array
    local = unpacked.keep(f"{place}: {name}", f"{stamp} {info.filename} {info.CRC}", partial(_copy, archive, info))
    mapped: Array = np.load(local, mmap_mode="r", allow_pickle=False)
    return mapped


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: BinaryIO) -> None:
    with archive.open(info) as member:
        shutil.copyfileobj(member, target, 2**20)


def _check_numbers(archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str) -> None:
    """Raise DataError if an array holds Python objects, which would run code when they are read."""
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, kind = read(member)
    if kind.hasobject:
        raise DataError(
            f"{place} must hold numbers or text, not Python objects, which are never unpickled: save it anew, as in "
            f"np.savez(..., {place.rpartition(' ')[2]}=np.array(values.tolist()))"
        )


def _pair(place: Path | str, arrays: Mapping[str, Array], columns: DataColumns) -> list[_Pair]:
    """Return the arrays of images and labels of each split, in the order of SPLITS."""
    pairs = []
    for split in SPLITS:
        ours = [name for name in arrays if (split_named_by(name) or "train") == split]
        images = _find(place, "image", ours, columns.image, _IMAGES)
        labels = _find(place, "label", ours, columns.label, _LABELS)
        if images is not None and labels is not None:
            pairs.append(_Pair(split=split, images=images, labels=labels))
    if pairs:
        return pairs
    large = [name for name, array in arrays.items() if array.ndim > 2]
    flat = [name for name, array in arrays.items() if array.ndim in (1, 2)]
    if len(large) == len(flat) == 1 and columns == DataColumns():
        return [_Pair(split="train", images=large[0], labels=flat[0])]
    shown = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "no arrays"
    wanted = [name for name in (columns.image, columns.label) if name is not None]
    hint = "".join(did_you_mean(name, list(arrays)) for name in wanted)
    raise DataError(
        f"data.source: {place} must have arrays of images and labels, such as images and labels, or train_images and "
        f"train_labels ({shown}){hint}: name them, as in data: {{columns: {{image: NAME, label: NAME}}}}"
    )


def _find(place: Path | str, role: str, names: Sequence[str], wanted: str | None, usual: Sequence[str]) -> str | None:
    """Return the array among those of a split whose name, or name without the split, is wanted or usual."""
    if wanted is not None:
        return next((name for name in names if wanted in (name, without_split(name))), None)
    matching = [name for word in usual for name in names if without_split(name) == word]
    clear = [name for name in matching if without_split(name) not in ("classes", "class")] or matching
    if len(clear) > 1:
        raise DataError(f"data.source: {place}: data.columns.{role} must name one of {', '.join(clear)}")
    return clear[0] if clear else None


def _pixels(place: str, array: Array) -> Pixels:
    """Return uint8 (N, H, W) or (N, H, W, channels)."""
    if array.ndim == 4 and array.shape[3] not in (1, 3, 4) and array.shape[1] in (1, 3):
        array = np.moveaxis(array, 1, 3)
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in (1, 3, 4)) or array.size == 0:
        raise DataError(
            f"{place} must be (N, H, W), (N, H, W, 1), (N, H, W, 3) or (N, H, W, 4), or have its channels second "
            f"({array.shape})"
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "biuf":
        raise DataError(f"{place} must hold pixels as numbers ({array.dtype})")
    whole = np.empty(array.shape, dtype=np.uint8)
    for start in range(0, len(array), _CHUNK):
        part = array[start : start + _CHUNK].astype(np.float64)
        rounded = np.nan_to_num(part).clip(0, 255).astype(np.uint8)
        if not np.array_equal(rounded, part) or array.dtype.kind == "b":
            raise DataError(
                f"{place} must hold whole numbers from 0 to 255 ({array.dtype}, {part.min():g} to {part.max():g}): "
                f"save it as uint8, as in (255 * images).round().astype('uint8') for numbers from 0 to 1"
            )
        whole[start : start + _CHUNK] = rounded
    return whole


def _texts(place: str, array: Array) -> list[str]:
    """Return the labels as text: those of (N,), (N, 1), or the columns of the ones in one-hot rows (N, classes)."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.dtype.kind in "biuf" and np.isin(array, (0, 1)).all() and (array.sum(1) == 1).all():
        array = array.argmax(1)
    if array.ndim != 1:
        raise DataError(
            f"{place} must be one class for each image: (N,), (N, 1) or one-hot rows, not {array.shape}: images with "
            f"several labels cannot be learned; save one of the columns, as in labels[:, 0]"
        )
    if array.dtype.kind == "f":
        if not np.array_equal(array, np.round(array)):
            raise DataError(f"{place} must hold whole numbers or text ({show(next(iter(array[array % 1 != 0])))})")
        array = array.astype(np.int64)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    return [str(value).strip() for value in array.tolist()]


def _is_list_of_names(name: str, array: Array) -> bool:
    return without_split(name) in _NAMES and array.ndim == 1 and array.dtype.kind in "US"


def _classes(
    place: Path | str, labels: Sequence[str], names: Array | None
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Return labels (N,) and the classes: whole numbers in their order, or the names of these numbers; else text."""
    used = set(labels)
    numbers = all(label.removeprefix("-").isdecimal() for label in used)
    ordered = sorted(used, key=int) if numbers else sorted(used)
    named = dict(enumerate(_texts("", names))) if numbers and names is not None else {}
    if named and not all(int(label) in named for label in ordered):
        raise DataError(
            f"data.source: {place}: each label, {ordered[0]} to {ordered[-1]}, must have a class name "
            f"({len(named)} names, from 0)"
        )
    classes = tuple(named[int(label)] for label in ordered) if named else tuple(ordered)
    if len(classes) < 2:
        raise DataError(f"data.source: {place}: must hold at least two classes (only {show(*classes)})")
    check_class_names(classes, f"data.source: {place}")
    code = {label: position for position, label in enumerate(ordered)}
    return np.array([code[label] for label in labels], dtype=np.int64), classes
