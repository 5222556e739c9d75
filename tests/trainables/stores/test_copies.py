"""Copies of images: which are first_rows, and in which split they lie."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from search_spaces import DataSpec, SplitSpec
from trainables.datasets import SPLITS, assign_splits
from trainables.datasets.images import read_image
from trainables.datasets.sources import load_table
from trainables.errors import DataError
from trainables.stores.copies import find_copies, make_thumbnail, perceptual_hashes
from trainables.stores.prepared import prepare_data

Pictures = list[Image.Image]


def picture(seed: int) -> Image.Image:
    """A picture of coarse and fine structure, 96 px."""
    generator = np.random.default_rng(seed)
    layers = [
        Image.fromarray(generator.integers(0, 256, (pixels, pixels, 3), dtype=np.uint8)).resize(
            (96, 96), Image.Resampling.BICUBIC
        )
        for pixels in (3, 8, 24)
    ]
    return Image.blend(Image.blend(layers[0], layers[1], 0.4), layers[2], 0.25)


def compressed(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def groups(images: Pictures) -> list[int]:
    digests = np.array([hash(image.convert("RGB").tobytes()) for image in images], dtype=np.int64).view(np.uint64)
    first: list[int] = find_copies(digests, np.stack([make_thumbnail(image) for image in images])).tolist()
    return first


def test_pictures_are_copies_of_themselves_compressed_resized_and_grey() -> None:
    originals = [picture(seed) for seed in range(40)]
    first = originals[7]
    changed = [compressed(first, 80), compressed(first, 50), first.resize((200, 200)), first.convert("L"), first.copy()]

    assert groups([*originals, *changed]) == [*range(40), *[7] * 5]


def test_pictures_of_one_kind_are_no_copies() -> None:
    outline = np.asarray(picture(0), dtype=np.int16)
    alike = [
        Image.fromarray((outline + np.asarray(picture(seed), dtype=np.int16) // 8).clip(0, 255).astype(np.uint8))
        for seed in range(1, 60)
    ]

    assert groups(alike) == list(range(59))


def test_of_solar_cells_only_those_of_neighbouring_wafers_are_copies() -> None:
    table = load_table("elpv", base_dir=Path())
    thumbnails = np.stack([make_thumbnail(read_image(image)) for image in table.images])

    first_rows = find_copies(np.arange(len(table.images), dtype=np.uint64), thumbnails)

    copies = [(table.names[row], table.names[first]) for row, first in enumerate(first_rows.tolist()) if row != first]
    assert ("images/cell2370.png", "images/cell2369.png") in copies
    assert 10 <= len(copies) <= 20
    assert all(abs(int(a[11:15]) - int(b[11:15])) <= 4 for a, b in copies)


def test_digits_have_no_copies() -> None:
    table = load_table("digits", base_dir=Path())
    thumbnails = np.stack([make_thumbnail(read_image(image)) for image in table.images])

    assert len(set(find_copies(np.arange(1797, dtype=np.uint64), thumbnails).tolist())) == 1797


@given(st.lists(st.integers(0, 5), max_size=30))
def test_groups_name_their_first_row(digests: list[int]) -> None:
    first_rows = find_copies(np.array(digests, dtype=np.uint64), None).tolist()

    assert first_rows == [digests.index(digest) for digest in digests]


def test_many_equal_thumbnails_are_compared_with_neighbours_only() -> None:
    thumbnails = np.broadcast_to(make_thumbnail(picture(3)), (3000, 32, 32)).copy()

    assert set(find_copies(np.arange(3000, dtype=np.uint64), thumbnails).tolist()) == {0}
    assert len(set(perceptual_hashes(thumbnails).tolist())) == 1


@given(
    sizes=st.lists(st.integers(1, 6), min_size=8, max_size=40),
    seed=st.integers(0, 3),
    fractions=st.sampled_from([(0.2, 0.1, 0.2), (0.3, 0.0, 0.0), (0.2, 0.0, 0.2)]),
)
def test_copies_stay_in_one_split_and_each_split_has_every_class(
    sizes: list[int], seed: int, fractions: tuple[float, float, float]
) -> None:
    heads = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
    labels = np.repeat(np.arange(len(sizes)) % 2, sizes)
    split = SplitSpec(val=fractions[0], confirm=fractions[1], test=fractions[2], seed=seed)

    splits = assign_splits(labels, classes=("a", "b"), split=split, copies=heads)

    assert all(len(set(splits[heads == head].tolist())) == 1 for head in set(heads.tolist()))
    used = {name for name, share in zip(SPLITS, (1, *fractions), strict=True) if share > 0}
    assert all(set(splits[labels == label].tolist()) == used for label in (0, 1))
    if max(sizes) == 1:
        assert np.array_equal(splits, assign_splits(labels, classes=("a", "b"), split=split))


def write(folder: Path, images: dict[str, Image.Image]) -> Path:
    for name, image in images.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / name)
    return folder


def spec(root: Path, **split: object) -> DataSpec:
    return DataSpec.model_validate({"source": str(root), "image_size": 32, "split": split}, strict=False)


def splits_of(names: tuple[str, ...], splits: dict[str, npt.NDArray[np.int64]]) -> dict[str, str]:
    return {names[row]: split for split, rows in splits.items() for row in rows.tolist()}


def test_copies_are_counted_with_their_splits_and_labels(tmp_path: Path) -> None:
    images = {f"{label}/{n:02d}.png": picture(n % 9 + 100 * (label == "b")) for label in "ab" for n in range(45)}
    root = write(tmp_path / "x", images | {"b/odd.png": picture(0)})

    ignored = prepare_data(spec(root, copies="ignore"), base_dir=tmp_path, root=tmp_path / "store")
    together = prepare_data(spec(root), base_dir=tmp_path, root=tmp_path / "store")

    assert ignored.copies is not None
    assert together.copies is not None
    assert (ignored.copies.groups, ignored.copies.images, ignored.copies.contradictory) == (18, 91, 1)
    assert ignored.copies.across == 18
    assert ignored.copies.contradictory_examples == ("a/00.png (a) and b/odd.png (b)",)
    assert together.copies.across == 0
    assert {split: len(rows) > 0 for split, rows in together.splits.items()} == dict.fromkeys(SPLITS, True)
    assert together.folder == ignored.folder


def test_copies_and_groups_are_kept_whole_together(tmp_path: Path) -> None:
    root = write(tmp_path / "x", {f"{n:03d}.png": picture(n // 2) for n in range(120)})
    farm_of = [(n + (n == 8)) // 8 - (n == 9) for n in range(120)]  # image 8 and its copy 9 are of two farms
    rows = [f"{n:03d}.png,{'ab'[n // 2 % 2]},farm{farm_of[n]}" for n in range(120)]
    (root / "list.csv").write_text("image,label,farm\n" + "\n".join(rows) + "\n")
    asked = spec(root / "list.csv", copies="together", group="farm", confirm=0.0)
    table = load_table(str(root / "list.csv"), base_dir=root, group="farm")

    data = prepare_data(asked, base_dir=tmp_path, root=tmp_path / "store")

    placed = splits_of(table.names, data.splits)
    assert data.copies is not None
    assert data.copies.across == 0
    assert all(placed[f"{n:03d}.png"] == placed[f"{n + 1:03d}.png"] for n in range(0, 120, 2))
    assert table.groups is not None
    farms: dict[str, set[str]] = {}
    for name, farm in zip(table.names, table.groups.tolist(), strict=True):
        farms.setdefault(farm, set()).add(placed[name])
    assert all(len(places) == 1 for places in farms.values())


def test_a_class_of_copies_alone_is_too_small(tmp_path: Path) -> None:
    images = {f"a/{n}.png": picture(n) for n in range(20)} | {f"b/{n}.png": picture(100) for n in range(20)}
    root = write(tmp_path / "x", images)

    with pytest.raises(DataError, match=r"class 'b': must have at least 4 different images, .* \(1\)"):
        prepare_data(spec(root, copies="together"), base_dir=tmp_path, root=tmp_path / "store")


def test_copies_between_given_splits_are_told(tmp_path: Path) -> None:
    images = {f"{split}/{label}/{n}.png": picture(n + 50 * (label == "b") + 200 * (split == "test"))
              for split in ("train", "test") for label in "ab" for n in range(12)}  # fmt: skip
    root = write(tmp_path / "x", images | {"test/a/leak.png": picture(3)})

    data = prepare_data(spec(root, copies="together", confirm=0.0), base_dir=tmp_path, root=tmp_path / "store")

    assert data.copies is not None
    assert data.copies.across == 1
    assert data.copies.across_examples[0].startswith("test/a/leak.png (test) and train/a/3.png")
