"""Packed predictions give back the predicted class and the probability of the true one."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.training.predictions import pack, pack_labels, unpack, unpack_labels


@given(st.integers(0, 60), st.integers(2, 300), st.integers(0, 2**32 - 1))
def test_packing_keeps_predicted_class_and_both_probabilities(images: int, classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), size=images)
    labels = random.integers(0, classes, size=images)
    unpacked = unpack(pack(probabilities, labels))
    assert unpacked.predicted.tolist() == probabilities.argmax(axis=1).tolist()
    expected = probabilities[np.arange(images), labels]
    np.testing.assert_allclose(unpacked.true_probability, expected, rtol=2**-10, atol=2**-24)
    assert unpacked.confidence is not None
    np.testing.assert_allclose(unpacked.confidence, probabilities.max(axis=1), rtol=2**-10, atol=2**-24)
    assert unpack_labels(pack_labels(labels)).tolist() == labels.tolist()


def test_predictions_of_an_older_version_lack_the_probabilities_of_predicted_classes() -> None:
    content = np.array([2, 0], dtype="<u2").tobytes() + np.array([0.25, 0.5], dtype="<f2").tobytes()
    older = unpack(base64.b64encode(zlib.compress(content)).decode())
    assert older.predicted.tolist() == [2, 0]
    assert older.true_probability.tolist() == [0.25, 0.5]
    assert older.confidence is None


def test_an_image_takes_at_most_six_characters() -> None:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(10), size=10_000)
    assert len(pack(probabilities, random.integers(0, 10, size=10_000))) < 6 * 10_000


@pytest.mark.parametrize("text", ["", "2:", "2:YWJj", "nonsense", "YWJj"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not packed predictions"):
        unpack(text)
