from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from service.promotions.gates import compare_paired, sign_test


def test_the_counts_are_those_of_the_same_images() -> None:
    new = np.array([True, True, True, False, False])
    old = np.array([True, False, False, True, False])
    result = compare_paired(new, old)
    assert (result.images, result.correct, result.champion_correct) == (5, 3, 2)
    assert (result.only_new, result.only_champion) == (2, 1)
    assert not result.is_worse
    assert compare_paired(old, new).is_worse


def test_the_test_is_the_exact_binomial_one() -> None:
    for first, second in [(0, 0), (1, 0), (3, 9), (9, 3), (5, 5), (40, 61), (900, 1100)]:
        expected = 1.0 if first + second == 0 else stats.binomtest(first, first + second, 0.5).pvalue
        assert sign_test(first, second) == pytest.approx(expected, rel=1e-9)


def test_models_that_are_right_on_the_same_images_are_equally_good() -> None:
    same = np.array([True, False, True])
    result = compare_paired(same, same)
    assert not result.is_worse
    assert result.p == 1.0
    assert result.sentence("version 3") == (
        "2 against 2 of 3 test images right: as good as version 3, on the same images"
    )


def test_the_sentence_says_if_chance_can_explain_the_difference() -> None:
    right = np.arange(100) < 80
    little, much = np.arange(100) < 79, np.arange(100) < 60
    assert "better than version 1 (p = 1, exact McNemar test, a difference that chance can explain)" in (
        compare_paired(right, little).sentence("version 1")
    )
    assert (
        compare_paired(much, right)
        .sentence("version 1")
        .endswith("worse than version 1 (p = 1.91e-06, exact McNemar test)")
    )
    swapped = np.roll(right, 1)
    assert "as good as version 1 (p = 1, exact McNemar test)" in compare_paired(right, swapped).sentence("version 1")


def test_other_images_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="need the same images for both"):
        compare_paired(np.ones(3, dtype=bool), np.ones(4, dtype=bool))
