from __future__ import annotations

import json
import os
import resource
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from search_spaces import DataSpec, SplitSpec
from trainables.datasets.images import decode_image
from trainables.errors import DataError
from trainables.stores.prepared import (
    PreparedData,
    prepare_data,
    prepare_for_backbones,
    read_table,
    summarize_data,
    survey_data,
)


@pytest.fixture
def photos(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "photos"))


class Counter:
    """A progress callback that counts the decoded images."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.calls.append((done, total))


def ready(photos: Path, *, size: int = 16, progress: Counter | None = None, **split: Any) -> PreparedData:
    data = DataSpec(source=photos.name, image_size=size, split=SplitSpec(**split))
    return prepare_data(data, base_dir=photos.parent, root=photos.parent / "prepared", progress=progress)


def resized(data: DataSpec, backbones: list[str], photos: Path) -> dict[str, PreparedData]:
    root = photos.parent / "prepared"
    table = read_table(data, base_dir=photos.parent, root=root)
    return prepare_for_backbones(table, data, backbones, root=root)


def test_images_labels_and_splits_belong_together(tiny: PreparedData, tiny_folder: Path) -> None:
    assert tiny.images.shape == (120, 32, 32, 3)
    assert tiny.images.dtype == np.uint8
    assert tiny.classes == ("one", "two", "zero")
    files = sorted(tiny_folder.rglob("*.png"))
    for row in (0, 55, 119):
        assert np.array_equal(tiny.images[row], decode_image(files[row], 32))
        assert tiny.classes[tiny.labels[row]] == files[row].parent.name
    rows = np.concatenate(list(tiny.splits.values()))
    assert list(tiny.splits) == ["train", "val", "confirm", "test"]
    assert sorted(rows.tolist()) == list(range(120))
    assert all(np.all(np.diff(part) > 0) for part in tiny.splits.values())


def test_digits_are_prepared_whole(digits: PreparedData) -> None:
    assert digits.images.shape == (1797, 16, 16, 3)
    assert {name: len(rows) for name, rows in digits.splits.items()} == pytest.approx(
        {"train": 898, "val": 360, "confirm": 180, "test": 359}, abs=10
    )
    assert len(np.unique(digits.digests)) == len(np.unique(digits.images.reshape(1797, -1), axis=0))


def test_images_are_decoded_only_the_first_time(photos: Path) -> None:
    first, again, resplit = Counter(), Counter(), Counter()
    before = ready(photos, progress=first)
    after = ready(photos, progress=again)
    other = ready(photos, progress=resplit, seed=1)

    assert first.calls == [(done, 120) for done in range(1, 121)]
    assert again.calls == resplit.calls == []
    assert after.digest == before.digest
    assert other.folder == before.folder
    assert other.digest != before.digest
    assert not np.array_equal(other.splits["val"], before.splits["val"])


def test_workers_open_the_prepared_data(tiny: PreparedData) -> None:
    opened = PreparedData.open(tiny.folder, tiny.split_key)

    assert opened.digest == tiny.digest
    assert opened.summary() | {"copies": None} == tiny.summary() | {"copies": None}  # names of images are not stored
    assert isinstance(opened.images, np.memmap)
    assert not opened.images.flags.writeable
    assert all(np.array_equal(opened.splits[name], tiny.splits[name]) for name in tiny.splits)


def test_the_summary_is_json_and_counts_classes_by_split(tiny: PreparedData) -> None:
    summary = json.loads(json.dumps(tiny.summary()))

    assert summary == tiny.summary()
    assert summary["images"] == 120
    assert summary["image_size"] == 32
    assert summary["classes"]["two"] == {"train": 20, "val": 8, "confirm": 4, "test": 8}


def test_the_digest_of_a_split_changes_with_its_images_alone(photos: Path) -> None:
    before = ready(photos)
    row = int(before.splits["test"][0])
    splits = before.digests_by_split()
    assert {split: about["images"] for split, about in splits.items()} == {
        split: len(rows) for split, rows in before.splits.items()
    }
    assert before.summary()["resized"] == {"bilinear": {"digest": before.digest, "splits": splits}}

    file = sorted(photos.rglob("*.png"))[row]
    Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    os.utime(file, ns=(1, 1))
    after = ready(photos).digests_by_split()

    assert [split for split in splits if after[split] != splits[split]] == ["test"]


def test_another_size_or_a_changed_file_is_decoded_again(photos: Path) -> None:
    before = ready(photos)
    assert ready(photos, size=24).images.shape == (120, 24, 24, 3)

    file = photos / "one" / "000.png"
    Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    os.utime(file, ns=(1, 1))
    after = ready(photos)

    assert after.folder != before.folder
    assert after.digest != before.digest
    assert not np.array_equal(after.images[0], before.images[0])
    assert np.array_equal(after.digests[1:], before.digests[1:])


def test_the_split_survives_a_move_and_another_size(photos: Path, tmp_path: Path) -> None:
    before = ready(photos)
    moved = Path(shutil.copytree(photos, tmp_path / "elsewhere" / "photos"))
    after = ready(moved, size=24)

    assert after.split_key == before.split_key


def test_each_backbone_gets_images_resized_with_its_interpolation(photos: Path) -> None:
    """Check that bilinear images keep the store of older sweeps, and that splits are the same in all stores."""
    bicubic, bilinear = "timm/tf_efficientnet_lite0", "torchvision/resnet18"
    backbones = [bicubic, bilinear, "torchvision/resnet50"]
    before = ready(photos)
    data = resized(DataSpec(source="photos", image_size=16), backbones, photos)

    assert {name: prepared.interpolation for name, prepared in data.items()} == {
        bicubic: "bicubic",
        bilinear: "bilinear",
        "torchvision/resnet50": "bilinear",
    }
    assert data[bilinear].digest == before.digest
    assert data[bilinear].folder == data["torchvision/resnet50"].folder == before.folder
    assert np.array_equal(data[bicubic].images[7:8][0], decode_image(photos / "one" / "007.png", 16, "bicubic"))
    assert not np.array_equal(data[bicubic].images[:], before.images[:])
    assert data[bicubic].split_key == before.split_key
    assert np.array_equal(data[bicubic].labels, before.labels)

    summary = summarize_data(data.values())
    assert summary["interpolation"] == "bicubic, bilinear"
    assert summary["digest"] not in (data[bicubic].digest, before.digest)
    digests = {name: each["digest"] for name, each in summary["resized"].items()}  # type: ignore[attr-defined]
    assert digests == {"bicubic": data[bicubic].digest, "bilinear": before.digest}
    assert summarize_data([before]) == before.summary()


def test_an_interpolation_in_the_sweep_file_applies_to_every_backbone(photos: Path) -> None:
    backbones = ["timm/tf_efficientnet_lite0", "torchvision/resnet18"]
    spec = DataSpec(source="photos", image_size=16, interpolation="bicubic")
    data = resized(spec, backbones, photos)

    assert {prepared.interpolation for prepared in data.values()} == {"bicubic"}
    assert (
        prepare_data(spec, base_dir=photos.parent, root=photos.parent / "prepared").digest == data[backbones[0]].digest
    )


def test_a_store_that_names_no_interpolation_is_bilinear(photos: Path) -> None:
    before = ready(photos)
    about = json.loads((before.folder / "about.json").read_text())
    del about["interpolation"]
    (before.folder / "about.json").write_text(json.dumps(about))

    assert PreparedData.open(before.folder, before.split_key).interpolation == "bilinear"
    assert ready(photos).folder == before.folder


def test_images_kept_with_two_interpolations_take_twice_the_disk(photos: Path) -> None:
    data, root = DataSpec(source="photos", image_size=16, disk=100_000), photos.parent / "prepared"
    backbones = ["timm/tf_efficientnet_lite0", "torchvision/resnet18"]

    assert survey_data(data, base_dir=photos.parent, root=root).plan.mode == "decoded"
    plan = survey_data(data, backbones, base_dir=photos.parent, root=root).plan
    assert plan.reason == ("120 images at 16 px, resized in 2 ways, take 184 KB decoded, more than data.disk (100 KB)")
    streamed = resized(data, backbones, photos)
    assert {prepared.mode for prepared in streamed.values()} == {plan.mode} == {"streamed"}
    assert np.array_equal(streamed[backbones[0]].images[0], decode_image(photos / "one" / "000.png", 16, "bicubic"))


def test_a_label_or_class_that_changes_is_another_data_set(photos: Path) -> None:
    before = ready(photos)
    (photos / "zero").rename(photos / "nought")

    assert ready(photos).digest != before.digest


@pytest.mark.experiment(22)
def test_one_unreadable_image_in_a_hundred_is_skipped_and_named(photos: Path) -> None:
    whole = ready(photos)
    (photos / "two" / "007.png").write_bytes(b"")

    data = ready(photos)

    assert data.skipped == (("two/007.png", "the file is empty"),)
    assert data.summary()["skipped"] == {"two/007.png": "the file is empty"}
    assert data.images.shape == (119, 16, 16, 3)
    row = 40 + 7
    assert np.array_equal(data.images[row], whole.images[row + 1])
    assert np.array_equal(data.labels, np.delete(whole.labels, row))
    assert np.array_equal(data.digests, np.delete(whole.digests, row))
    assert PreparedData.open(data.folder, data.split_key).digest == ready(photos).digest == data.digest


def test_more_than_one_unreadable_image_in_a_hundred_is_an_error_that_lists_them(photos: Path) -> None:
    for name in ("one/001.png", "two/002.png"):
        (photos / name).write_bytes((photos / name).read_bytes()[:60])
    root = photos.parent / "prepared"

    with pytest.raises(DataError, match="2 of 120 images cannot be read") as caught:
        ready(photos)
    assert "one/001.png: " in str(caught.value)
    assert "two/002.png: " in str(caught.value)
    assert not [path for path in root.iterdir() if path.is_dir()]


def test_a_class_too_small_to_split_is_refused_before_decoding(photos: Path) -> None:
    for file in sorted((photos / "one").iterdir())[3:]:
        file.unlink()
    progress = Counter()

    with pytest.raises(DataError, match=r"class 'one': must have at least 4 images"):
        ready(photos, progress=progress)
    assert progress.calls == []


def test_the_splits_of_a_manifest_win_and_its_groups_stay_whole(photos: Path) -> None:
    files = sorted(photos.rglob("*.png"))
    rows = [
        f"{file.relative_to(photos)},{file.parent.name},{'val' if index % 2 else 'train'},{index % 10}"
        for index, file in enumerate(files)
    ]
    (photos / "list.csv").write_text("\n".join(["image,label,split,day", *rows]))
    (photos / "days.csv").write_text((photos / "list.csv").read_text().replace("split", "ignored"))
    root = photos.parent / "prepared"

    listed = prepare_data(DataSpec(source="list.csv", image_size=16), base_dir=photos, root=root)
    grouped = prepare_data(
        DataSpec(source="days.csv", image_size=16, split=SplitSpec(group="day")), base_dir=photos, root=root
    )

    assert np.array_equal(listed.splits["val"], np.arange(1, 120, 2))
    assert len(listed.splits["confirm"]) == len(listed.splits["test"]) == 0
    days = [set((rows % 10).tolist()) for rows in grouped.splits.values()]
    assert all(days)
    assert sum(map(len, days)) == len(set.union(*days)) == 10


def test_leftovers_of_a_killed_process_are_replaced(photos: Path) -> None:
    before = ready(photos)
    (before.folder / "about.json").unlink()
    before.folder.with_suffix(".partial").mkdir()
    with pytest.raises(DataError, match="missing or damaged"):
        PreparedData.open(before.folder, before.split_key)

    assert ready(photos).digest == before.digest
    assert not before.folder.with_suffix(".partial").exists()


def test_an_interrupt_leaves_nothing_behind(photos: Path) -> None:
    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    data = DataSpec(source=str(photos), image_size=16)
    root = photos.parent / "prepared"
    with pytest.raises(KeyboardInterrupt):
        prepare_data(data, base_dir=photos, root=root, progress=interrupt)

    assert not [path for path in root.iterdir() if path.is_dir()]
    assert len(ready(photos).labels) == 120


def test_two_sweeps_that_start_together_decode_once(photos: Path) -> None:
    counters = [Counter(), Counter()]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda counter: ready(photos, progress=counter), counters)

    assert first.digest == second.digest
    assert sorted(len(counter.calls) for counter in counters) == [0, 120]


def test_a_root_that_cannot_be_written_is_an_error(photos: Path) -> None:
    (photos.parent / "prepared").write_text("in the way")

    with pytest.raises(DataError, match=r"cannot write prepared images below .*prepared"):
        ready(photos)


def test_a_file_that_cannot_be_written_whole_is_an_error_with_the_room_that_there_is(photos: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # as on a full disk, NumPy writes a part
    try:
        with pytest.raises(
            DataError, match=r"below .*: a file could not be written whole, .*B are free .*another home"
        ):
            ready(photos, size=64)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_images_that_do_not_fit_on_the_disk_are_streamed(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = ready(photos, size=24)
    usage = shutil.disk_usage(photos)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))

    assert ready(photos).mode == "streamed"
    assert ready(photos, size=24).folder == kept.folder  # already decoded: needs no more room
