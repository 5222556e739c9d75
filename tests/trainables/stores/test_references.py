"""Images that a node opens by their content: found, prepared from its own source, or refused."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search_spaces import DataSpec
from trainables.errors import NodeError
from trainables.stores.locks import lock_for_writing
from trainables.stores.prepared import PreparedData, prepare_data
from trainables.stores.references import ImagesReference, open_images

BACKBONES = ("timm/test_efficientnet", "torchvision/resnet18")


@pytest.fixture
def driver(tiny_folder: Path, tmp_path: Path) -> Path:
    """A folder with photos, as the driver's machine has it."""
    shutil.copytree(tiny_folder, tmp_path / "driver" / "photos")
    return tmp_path / "driver"


@pytest.fixture
def node(driver: Path, tmp_path: Path) -> Path:
    """A folder with the same photos, as another node has them: with other times of change."""
    shutil.copytree(driver / "photos", tmp_path / "node" / "photos")
    for file in (tmp_path / "node").rglob("*.png"):
        os.utime(file, ns=(1, 1))
    return tmp_path / "node"


def prepare(folder: Path, **more: int) -> tuple[PreparedData, ImagesReference]:
    data = DataSpec(source="photos", image_size=24)
    prepared = prepare_data(data, base_dir=folder, root=folder / "data")
    sent = data.model_copy(update=more)
    return prepared, ImagesReference.describe(prepared, sent, base_dir=folder, backbones=BACKBONES)


def elsewhere(reference: ImagesReference, folder: Path) -> ImagesReference:
    """Return the reference with the other machine's folder at the same path, which one machine cannot have."""
    return replace(reference, base_dir=str(folder))


def test_images_that_are_prepared_are_opened_by_their_digest(driver: Path) -> None:
    prepared, reference = prepare(driver)
    shutil.rmtree(driver / "photos")

    opened = open_images(reference, root=driver / "data")
    assert (opened.folder, opened.split_key) == (prepared.folder, prepared.split_key)
    assert opened.digest == reference.digest


def test_another_node_prepares_the_same_images_from_its_own_source(driver: Path, node: Path) -> None:
    prepared, reference = prepare(driver)
    beats: list[float] = []

    opened = open_images(elsewhere(reference, node), root=node / "data", beat=lambda: beats.append(0.0))
    assert opened.folder.parent == node / "data"
    assert opened.folder.name != prepared.folder.name, "a store's name depends on the files' times"
    assert opened.digest == prepared.digest
    assert np.array_equal(opened.images[:], prepared.images[:])
    assert {name: rows.tolist() for name, rows in opened.splits.items()} == {
        name: rows.tolist() for name, rows in prepared.splits.items()
    }
    assert {path.name.split("-")[0] for path in opened.folder.glob("digest-*")} == {"digest"}


def test_a_node_with_less_room_streams_the_same_images(driver: Path, node: Path) -> None:
    prepared, reference = prepare(driver, disk=100, cache=0)

    opened = open_images(elsewhere(reference, node), root=node / "data")
    assert (prepared.mode, opened.mode) == ("decoded", "streamed")
    assert opened.digest == prepared.digest
    assert np.array_equal(opened.images[:], prepared.images[:])


def invert(photo: Path) -> None:
    Image.fromarray(255 - np.asarray(Image.open(photo))).save(photo)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda photos: invert(photos / "one" / "003.png"), r"pixels differ, or .* Pillow"),
        (lambda photos: (photos / "one" / "003.png").unlink(), "images 119 here, 120 in the sweep"),
        (lambda photos: (photos / "one").rename(photos / "uno"), "the names of the classes differ"),
        (lambda photos: shutil.rmtree(photos / "one"), "images 80 here, 120 in the sweep"),
    ],
)
def test_other_images_are_refused_with_what_differs(
    driver: Path, node: Path, change: Callable[[Path], object], difference: str
) -> None:
    _, reference = prepare(driver)
    change(node / "photos")

    with pytest.raises(NodeError, match=rf"node n7: the images of photos .*{reference.digest}\): {difference}"):
        open_images(elsewhere(reference, node), root=node / "data", node="n7")


def test_a_node_without_the_source_or_a_place_says_so(driver: Path, node: Path) -> None:
    _, reference = prepare(driver)
    shutil.rmtree(node / "photos")

    with pytest.raises(NodeError, match=r"node n7 cannot prepare the images of photos: .* every node"):
        open_images(elsewhere(reference, node), root=node / "data", node="n7")
    (node / "file").touch()
    with pytest.raises(NodeError, match=r"node n7: .*/file/data cannot be written .* MELTPOINT_NODE_HOME"):
        open_images(elsewhere(reference, node), root=node / "file" / "data", node="n7")


def test_a_node_that_cannot_decode_its_images_says_why(driver: Path, node: Path) -> None:
    _, reference = prepare(driver)
    for photo in sorted((node / "photos" / "one").glob("*.png"))[:2]:
        photo.write_bytes(b"no image")

    with pytest.raises(NodeError, match=r"node n7 cannot decode the images of photos: .* 2 of 120 images") as caught:
        open_images(elsewhere(reference, node), root=node / "data", node="n7")
    assert "URI" not in str(caught.value)


def test_several_that_need_the_same_images_prepare_them_once(driver: Path, node: Path) -> None:
    _, reference = prepare(driver)
    opened: list[PreparedData] = []

    def open_there() -> None:
        opened.append(open_images(elsewhere(reference, node), root=node / "data"))

    openers = [threading.Thread(target=open_there) for _ in range(3)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join()
    assert len(opened) == 3
    assert len({prepared.folder for prepared in opened}) == 1
    assert len(list((node / "data").glob("*/about.json"))) == 2, "one store for each way of resizing"


def test_a_wait_for_another_process_beats_and_can_be_given_up(driver: Path, node: Path) -> None:
    _, reference = prepare(driver)
    root = node / "data"
    root.mkdir()

    class AbandonedError(Exception):
        pass

    def give_up() -> None:
        raise AbandonedError

    with lock_for_writing(root / f"images-{reference.digest}"), pytest.raises(AbandonedError):
        open_images(elsewhere(reference, node), root=root, beat=give_up)
