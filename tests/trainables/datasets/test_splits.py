from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import SplitSpec
from trainables.datasets import SPLITS, assign_splits, check_splits
from trainables.errors import DataError

CLASSES = ("cat", "dog", "owl")


def shares(splits: np.ndarray) -> dict[str, float]:
    return {name: float(np.mean(splits == name)) for name in SPLITS}


def test_every_class_keeps_its_share() -> None:
    labels = np.repeat([0, 1, 2], [1000, 300, 60])

    splits = assign_splits(labels, classes=CLASSES, split=SplitSpec(val=0.2, confirm=0.1, test=0.25))

    for code in range(3):
        class_shares = shares(splits[labels == code])
        assert class_shares == pytest.approx({"train": 0.45, "val": 0.2, "confirm": 0.1, "test": 0.25}, abs=0.01)


def test_splits_depend_on_the_seed_alone() -> None:
    labels = np.repeat([0, 1], 50)

    def draw(seed: int) -> list[str]:
        np.random.default_rng().random()
        return [str(split) for split in assign_splits(labels, classes=CLASSES[:2], split=SplitSpec(seed=seed))]

    assert draw(0) == draw(0)
    assert draw(0) != draw(1)


@pytest.mark.parametrize("grouped", [False, True])
def test_the_order_of_rows_has_no_effect(grouped: bool) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    names = np.array([f"{row}.png" for row in range(300)])
    groups = np.array([f"farm {row % 40}" for row in range(300)])

    def by_name(order: np.ndarray) -> dict[str, str]:
        kept = groups[order] if grouped else None
        splits = assign_splits(
            labels[order], classes=CLASSES, split=SplitSpec(), groups=kept, names=names[order].tolist()
        )
        return dict(zip(names[order].tolist(), splits.tolist(), strict=True))

    assert by_name(np.arange(300)) == by_name(random.permutation(300))


def test_a_fraction_of_zero_leaves_a_split_empty() -> None:
    splits = assign_splits(np.repeat([0, 1], 20), classes=CLASSES[:2], split=SplitSpec(val=0.2, confirm=0, test=0))

    assert set(splits) == {"train", "val"}


@given(
    counts=st.lists(st.integers(4, 60), min_size=2, max_size=4),
    val=st.floats(0.01, 0.6),
    confirm=st.sampled_from([0.0, 0.01, 0.15]),
    test=st.sampled_from([0.0, 0.05, 0.2]),
)
@settings(max_examples=60)
def test_four_images_of_a_class_always_suffice(counts: list[int], val: float, confirm: float, test: float) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    classes = [f"class {code}" for code in range(len(counts))]
    split = SplitSpec(val=val, confirm=confirm, test=test)

    splits = assign_splits(labels, classes=classes, split=split)

    fractions = {"train": 1 - val - confirm - test, "val": val, "confirm": confirm, "test": test}
    for code, count in enumerate(counts):
        for name, fraction in fractions.items():
            size = np.sum(splits[labels == code] == name)
            assert size == 0 if fraction == 0 else size >= 1
            assert abs(size - count * fraction) <= 3


def test_a_class_that_is_too_small_is_named_with_what_it_needs() -> None:
    labels = np.repeat([0, 1], [50, 3])

    with pytest.raises(DataError, match=r"'dog': must have at least 4 images, .*val, confirm, test \(3\)"):
        assign_splits(labels, classes=CLASSES[:2], split=SplitSpec())
    assign_splits(labels, classes=CLASSES[:2], split=SplitSpec(confirm=0))


def test_groups_stay_whole_and_classes_keep_their_shares() -> None:
    random = np.random.default_rng(0)
    groups = np.array([f"patient {index}" for index in random.integers(0, 200, 3000)])
    labels = random.integers(0, 3, 3000)

    splits = assign_splits(labels, classes=CLASSES, split=SplitSpec(), groups=groups)

    for group in np.unique(groups):
        assert len(np.unique(splits[groups == group])) == 1
    for code in range(3):
        assert shares(splits[labels == code]) == pytest.approx(
            {"train": 0.5, "val": 0.2, "confirm": 0.1, "test": 0.2}, abs=0.03
        )


def test_groups_of_one_class_each_reach_every_split() -> None:
    groups = np.repeat([f"farm {index}" for index in range(12)], 7)
    labels = np.repeat(np.arange(12) % 3, 7)

    splits = assign_splits(labels, classes=CLASSES, split=SplitSpec(), groups=groups)

    for code in range(3):
        assert set(splits[labels == code]) == set(SPLITS)


def test_another_seed_groups_differently() -> None:
    groups = np.array([f"farm {index % 30}" for index in range(300)])
    labels = np.arange(300) % 3
    drawn = {
        tuple(assign_splits(labels, classes=CLASSES, split=SplitSpec(seed=seed), groups=groups).tolist())
        for seed in range(3)
    }

    assert len(drawn) == 3


def test_too_few_groups_of_a_class_are_refused() -> None:
    groups = np.array(["a", "a", "b", "b", "c", "d", "e"] * 5)
    labels = np.array([1, 0, 1, 0, 0, 0, 0] * 5)

    with pytest.raises(DataError, match=r"'dog': must have at least 4 groups, .* \(2\)"):
        assign_splits(labels, classes=CLASSES[:2], split=SplitSpec(), groups=groups)


def test_unusable_splits_of_a_manifest_are_refused() -> None:
    labels = np.array([0, 1, 0, 1])
    groups = np.array(["a", "b", "c", "b"])

    check_splits(np.array(["train", "train", "val", "val"]), labels, classes=CLASSES[:2], groups=None)
    with pytest.raises(DataError, match=r"`val` at least one image of every class .none of 'dog'"):
        check_splits(np.array(["train", "train", "val", "test"]), labels, classes=CLASSES[:2], groups=None)
    with pytest.raises(DataError, match=r"keep group 'b' whole .it is in train, val"):
        check_splits(np.array(["train", "train", "val", "val"]), labels, classes=CLASSES[:2], groups=groups)
