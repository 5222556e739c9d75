"""Classification data sets of torchvision by name, in torchvision's own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from torchvision import datasets as library

from search_spaces.errors import did_you_mean, first_line, show
from trainables.datasets.tables import ImageSource, ImageTable
from trainables.errors import DataError

__all__ = ["TORCHVISION_PREFIX", "TORCHVISION_SETS", "TorchvisionInfo", "load_torchvision"]

TORCHVISION_PREFIX = "torchvision:"

Part = Callable[..., Any]
Pairs = tuple[list[ImageSource], list[int]]


@dataclass(frozen=True, kw_only=True)
class TorchvisionInfo:
    """A data set. Its own test images are the test split; `data.split` divides the rest.

    Attributes:
        name: the name after `torchvision:`.
        citation: the source of the data.
        parts: split -> torchvision's constructor; "" for images that `data.split` divides.
        read: returns the images and labels of a constructed part.
    """

    name: str
    citation: str
    parts: Mapping[str, Part]
    read: Callable[[Any], Pairs]


def load_torchvision(source: str, root: Path) -> ImageTable:
    """Load the data set that `torchvision:NAME` names from its files below `root`; download missing files there.

    Raises:
        DataError: the name is unknown, or files are missing and cannot be downloaded.
    """
    name = source.removeprefix(TORCHVISION_PREFIX)
    info = TORCHVISION_SETS.get(name)
    if info is None:
        hint = did_you_mean(name, TORCHVISION_SETS)
        known = ", ".join(TORCHVISION_SETS)
        raise DataError(f"data.source: torchvision: must be one of {known} ({show(name)}){hint}")
    images: list[ImageSource] = []
    labels: list[int] = []
    names: list[str] = []
    splits: list[str] = []
    classes: tuple[str, ...] = ()
    for split, make in info.parts.items():
        part = _open(make, source, root)
        part_images, codes = info.read(part)
        classes = classes or tuple(getattr(part, "classes", ())) or tuple(map(str, sorted(set(codes))))
        names += [f"{split or 'all'}/{row:06d}" for row in range(len(codes))]
        splits += [split] * len(codes)
        images += part_images
        labels += codes
    return ImageTable(
        name=name,
        images=images,
        names=tuple(names),
        labels=np.array(labels, dtype=np.int64),
        classes=classes,
        split=np.array(splits),
    )


def _open(make: Part, source: str, root: Path) -> Any:
    """Open the data set from its files, else download them."""
    try:
        return make(str(root), download=False)
    except (RuntimeError, OSError):
        pass
    try:
        root.mkdir(parents=True, exist_ok=True)
        return make(str(root), download=True)
    except Exception as error:  # errors of urllib, of the disk and of torchvision
        reason = first_line(error)
        raise DataError(
            f"data.source: {source} is not below {root} and cannot be downloaded: {reason}: "
            f"put its files there, or set data.root to their folder"
        ) from None


def _by_flag(part: Part) -> Mapping[str, Part]:
    return {"": partial(part, train=True), "test": partial(part, train=False)}


def _by_split(part: Part, **splits: str) -> Mapping[str, Part]:
    """Return the parts by `splits`: our name -> torchvision's name; `data.split` divides `rest`."""
    return {"" if ours == "rest" else ours: partial(part, split=theirs) for ours, theirs in splits.items()}


def _rows(pixels: object) -> list[ImageSource]:
    array: npt.NDArray[np.uint8] = np.asarray(pixels)
    if array.ndim == 4 and array.shape[1] == 3 and array.shape[3] != 3:
        array = array.transpose(0, 2, 3, 1)
    return list(array)


def _targets(part: Any) -> Pairs:
    return _rows(part.data), [int(label) for label in part.targets]


def _array_labels(part: Any) -> Pairs:
    return _rows(part.data), [int(label) for label in part.labels]


def _samples(part: Any) -> Pairs:
    """Read a data set that is made like an image folder, from its (path, label) pairs."""
    pairs = part.samples if hasattr(part, "samples") else part._samples
    return [Path(path) for path, _ in pairs], [int(label) for _, label in pairs]


def _image_files(part: Any) -> Pairs:
    """Read two lists that torchvision keeps private; its version is pinned, and tests read a set of each kind."""
    files = part._image_files if hasattr(part, "_image_files") else part._images
    return [Path(file) for file in files], [int(label) for label in part._labels]


_CIFAR = "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"

TORCHVISION_SETS: Mapping[str, TorchvisionInfo] = MappingProxyType(
    {
        info.name: info
        for info in (
            TorchvisionInfo(name="CIFAR10", citation=_CIFAR, parts=_by_flag(library.CIFAR10), read=_targets),
            TorchvisionInfo(name="CIFAR100", citation=_CIFAR, parts=_by_flag(library.CIFAR100), read=_targets),
            TorchvisionInfo(name="MNIST", citation="LeCun et al. 1998", parts=_by_flag(library.MNIST), read=_targets),
            TorchvisionInfo(
                name="FashionMNIST", citation="Xiao et al. 2017", parts=_by_flag(library.FashionMNIST), read=_targets
            ),
            TorchvisionInfo(
                name="KMNIST", citation="Clanuwat et al. 2018", parts=_by_flag(library.KMNIST), read=_targets
            ),
            TorchvisionInfo(
                name="SVHN",
                citation="Netzer et al. 2011",
                parts=_by_split(library.SVHN, rest="train", test="test"),
                read=_array_labels,
            ),
            TorchvisionInfo(
                name="STL10",
                citation="Coates et al. 2011",
                parts=_by_split(library.STL10, rest="train", test="test"),
                read=_array_labels,
            ),
            TorchvisionInfo(name="EuroSAT", citation="Helber et al. 2019", parts={"": library.EuroSAT}, read=_samples),
            TorchvisionInfo(
                name="DTD",
                citation="Cimpoi et al. 2014",
                parts=_by_split(library.DTD, train="train", val="val", test="test"),
                read=_image_files,
            ),
            TorchvisionInfo(
                name="Food101",
                citation="Bossard et al. 2014",
                parts=_by_split(library.Food101, rest="train", test="test"),
                read=_image_files,
            ),
            TorchvisionInfo(
                name="OxfordIIITPet",
                citation="Parkhi et al. 2012",
                parts=_by_split(library.OxfordIIITPet, rest="trainval", test="test"),
                read=_image_files,
            ),
        )
    }
)
