"""torchvision's sets, read from small files made here in torchvision's own formats; nothing is downloaded."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
import urllib.error
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision import datasets as library

from search_spaces import DataSpec
from trainables.datasets.sources import load_table
from trainables.datasets.torchvision_sets import TORCHVISION_SETS
from trainables.errors import DataError
from trainables.stores.prepared import prepare_data

TRAIN, TEST = 40, 10
NOISE = np.random.default_rng(0).integers(0, 256, (TRAIN + TEST, 3, 32, 32), dtype=np.uint8)
LABELS = np.arange(TRAIN + TEST) % 2
DIGITS = np.arange(TRAIN + TEST) % 10


def photo(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(NOISE[number].transpose(1, 2, 0)).save(path)


def make_mnist(root: Path, _patch: pytest.MonkeyPatch, name: str) -> None:
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    for part, rows in (("train", slice(0, TRAIN)), ("t10k", slice(TRAIN, None))):
        pixels, labels = NOISE[rows, 0, :28, :28], DIGITS[rows].astype(np.uint8)
        images = struct.pack(">4i", 2051, *pixels.shape) + pixels.tobytes()
        (folder / f"{part}-images-idx3-ubyte").write_bytes(images)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, len(labels)) + labels.tobytes())


def make_cifar(root: Path, patch: pytest.MonkeyPatch, name: str) -> None:
    made = getattr(library, name)
    folder = root / made.base_folder
    folder.mkdir()
    coarse = {"CIFAR10": ("labels", "label_names"), "CIFAR100": ("fine_labels", "fine_label_names")}[name]

    def put(file: str, content: Mapping[str, object]) -> list[str]:
        (folder / file).write_bytes(pickle.dumps(content))
        return [file, hashlib.md5((folder / file).read_bytes()).hexdigest()]

    parts = {"train_list": slice(0, TRAIN), "test_list": slice(TRAIN, None)}
    for attribute, rows in parts.items():
        content = {"data": NOISE[rows].reshape(-1, 3072), coarse[0]: LABELS[rows].tolist()}
        patch.setattr(made, attribute, [put(attribute, content)])
    file, digest = put("meta", {coarse[1]: ["cat", "ship"]})
    patch.setattr(made, "meta", {"filename": file, "key": coarse[1], "md5": digest})


def make_svhn(root: Path, patch: pytest.MonkeyPatch, _name: str) -> None:
    parts = {}
    for part, rows in (("train", slice(0, TRAIN)), ("test", slice(TRAIN, None))):
        file = root / f"{part}_32x32.mat"
        labels = np.where(LABELS[rows] == 0, 10, 1)[:, None]
        scipy.io.savemat(file, {"X": NOISE[rows].transpose(2, 3, 1, 0), "y": labels})
        parts[part] = ["", file.name, hashlib.md5(file.read_bytes()).hexdigest()]
    patch.setattr(library.SVHN, "split_list", parts)


def make_stl(root: Path, patch: pytest.MonkeyPatch, _name: str) -> None:
    folder = root / library.STL10.base_folder
    folder.mkdir()
    lists = {}
    for part, rows in (("train", slice(0, TRAIN)), ("test", slice(TRAIN, None))):
        whole = NOISE[rows].transpose(0, 1, 3, 2).repeat(3, axis=2).repeat(3, axis=3)
        (folder / f"{part}_X.bin").write_bytes(whole.tobytes())
        (folder / f"{part}_y.bin").write_bytes((LABELS[rows] + 1).astype(np.uint8).tobytes())
        digests = [hashlib.md5((folder / f"{part}_{kind}.bin").read_bytes()).hexdigest() for kind in "Xy"]
        lists[part] = [[f"{part}_{kind}.bin", digest] for kind, digest in zip("Xy", digests, strict=True)]
    (folder / "class_names.txt").write_text("cat\nship\n")
    (folder / "fold_indices.txt").write_text("")
    patch.setattr(library.STL10, "train_list", lists["train"])
    patch.setattr(library.STL10, "test_list", lists["test"])


def make_eurosat(root: Path, _patch: pytest.MonkeyPatch, _name: str) -> None:
    for number, label in enumerate(LABELS):
        photo(root / "eurosat" / "2750" / ("Forest", "River")[label] / f"{number}.jpg", number)


def make_dtd(root: Path, _patch: pytest.MonkeyPatch, _name: str) -> None:
    folder = root / "dtd" / "dtd"
    (folder / "labels").mkdir(parents=True)
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number, label in enumerate(LABELS):
        file = f"{('banded', 'woven')[label]}/{number}.jpg"
        photo(folder / "images" / file, number)
        lists["test" if number >= TRAIN else "val" if number >= TRAIN - 10 else "train"].append(file)
    for part, files in lists.items():
        (folder / "labels" / f"{part}1.txt").write_text("\n".join(files))


def make_food(root: Path, _patch: pytest.MonkeyPatch, _name: str) -> None:
    folder = root / "food-101"
    (folder / "meta").mkdir(parents=True)
    for part, rows in (("train", range(TRAIN)), ("test", range(TRAIN, TRAIN + TEST))):
        listed: dict[str, list[str]] = {"pizza": [], "ramen": []}
        for number in rows:
            label = ("pizza", "ramen")[LABELS[number]]
            photo(folder / "images" / label / f"{number}.jpg", number)
            listed[label].append(f"{label}/{number}")
        (folder / "meta" / f"{part}.json").write_text(json.dumps(listed))


def make_pets(root: Path, _patch: pytest.MonkeyPatch, _name: str) -> None:
    folder = root / "oxford-iiit-pet"
    (folder / "annotations").mkdir(parents=True)
    for part, rows in (("trainval", range(TRAIN)), ("test", range(TRAIN, TRAIN + TEST))):
        lines = []
        for number in rows:
            image = f"{('birman', 'pug')[LABELS[number]]}_{number}"
            photo(folder / "images" / f"{image}.jpg", number)
            lines.append(f"{image} {LABELS[number] + 1} {LABELS[number] + 1} 1")
        (folder / "annotations" / f"{part}.txt").write_text("\n".join(lines))


MAKERS: dict[str, Callable[[Path, pytest.MonkeyPatch, str], None]] = {
    "CIFAR10": make_cifar,
    "CIFAR100": make_cifar,
    "MNIST": make_mnist,
    "FashionMNIST": make_mnist,
    "KMNIST": make_mnist,
    "SVHN": make_svhn,
    "STL10": make_stl,
    "EuroSAT": make_eurosat,
    "DTD": make_dtd,
    "Food101": make_food,
    "OxfordIIITPet": make_pets,
}


@pytest.mark.parametrize("name", TORCHVISION_SETS)
def test_a_data_set_is_read_from_torchvisions_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MAKERS[name](tmp_path, monkeypatch, name)

    spec = DataSpec(source=f"torchvision:{name}", root=str(tmp_path), image_size=32)
    data = prepare_data(spec, base_dir=tmp_path, root=tmp_path / "prepared")

    assert (data.name, len(data.labels)) == (name, TRAIN + TEST)
    assert sorted(data.labels) == sorted(DIGITS if "MNIST" in name else LABELS)
    assert all(len(rows) > 0 for split, rows in data.splits.items() if (split, name) != ("confirm", "DTD"))
    if name != "EuroSAT":  # the only one that brings no test images
        assert data.splits["test"].tolist() == list(range(TRAIN, TRAIN + TEST))
    if name in ("CIFAR10", "CIFAR100", "SVHN"):
        assert np.array_equal(data.images[0], NOISE[0].transpose(1, 2, 0))
        assert data.labels.tolist() == LABELS.tolist()
    if name.startswith("CIFAR"):
        assert data.classes == ("cat", "ship")


def test_without_files_and_network_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    for name in TORCHVISION_SETS:
        message = rf"torchvision:{name} is not below .*/tv and cannot be downloaded: .*data\.root"
        with pytest.raises(DataError, match=message) as refused:
            load_table(f"torchvision:{name}", base_dir=tmp_path, downloads=tmp_path / "tv")
        assert len(str(refused.value).splitlines()) == 1


def test_an_unknown_set_and_a_remote_root_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must be one of CIFAR10, .* \(CIFAR11\); did you mean CIFAR10"):
        load_table("torchvision:CIFAR11", base_dir=tmp_path)
    with pytest.raises(DataError, match=r"data\.root: must be a folder of this machine .*memory://sets"):
        load_table("torchvision:CIFAR10", base_dir=tmp_path, root="memory://sets")
    with pytest.raises(DataError, match="only a manifest or metadata file has columns"):
        load_table("torchvision:CIFAR10", base_dir=tmp_path, group="day")
