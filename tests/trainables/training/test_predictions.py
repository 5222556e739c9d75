"""Packed predictions give back the predicted class and the probability of the true one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.training.predictions import pack, pack_labels, unpack, unpack_labels


@given(st.integers(0, 60), st.integers(2, 300), st.integers(0, 2**32 - 1))
def test_packing_keeps_predicted_class_and_true_probability(images: int, classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), size=images)
    labels = random.integers(0, classes, size=images)
    unpacked = unpack(pack(probabilities, labels))
    assert unpacked.predicted.tolist() == probabilities.argmax(axis=1).tolist()
    expected = probabilities[np.arange(images), labels]
    np.testing.assert_allclose(unpacked.true_probability, expected, rtol=2**-10, atol=2**-24)
    assert unpack_labels(pack_labels(labels)).tolist() == labels.tolist()


def test_an_image_takes_at_most_six_characters() -> None:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(10), size=10_000)
    assert len(pack(probabilities, random.integers(0, 10, size=10_000))) < 6 * 10_000


@pytest.mark.parametrize("text", ["", "nonsense", "YWJj"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not packed predictions"):
        unpack(text)
