from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.errors import MeltpointError
from search_spaces.records import Head
from trainables.classifiers import build_classifier
from trainables.classifiers.pools import FractionalMaxPool, build_pool


def maps(side: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(seed))


@given(
    side=st.integers(2, 40),
    ratio=st.floats(1, 2, exclude_min=True, exclude_max=True, allow_subnormal=False),
    training=st.booleans(),
)
def test_the_output_size_is_as_documented_for_every_ratio(side: int, ratio: float, training: bool) -> None:
    pool = FractionalMaxPool(ratio).train(training)
    expected = int(side / ratio)
    assert pool(maps(side)).shape == (2, 3, expected, expected)
    assert expected == math.floor(side / ratio)


def test_windows_are_drawn_in_training_and_fixed_in_evaluation() -> None:
    torch.manual_seed(0)
    pool, given = FractionalMaxPool(1.4), maps(9)
    first, second = pool.train()(given), pool(given)
    assert not torch.equal(first, second)
    assert torch.equal(pool.eval()(given), pool(given))
    assert set(first.flatten().tolist()) <= set(given.flatten().tolist()), "each is the maximum of a window"


def test_average_and_maximum_pools_compute_mean_and_maximum() -> None:
    given = maps(5)
    average, maximum = build_pool(Head(pool="avg")), build_pool(Head(pool="max"))
    assert average is not None
    assert maximum is not None
    torch.testing.assert_close(average(given).flatten(1), given.mean(dim=(2, 3)))
    assert torch.equal(maximum(given).flatten(1), given.amax(dim=(2, 3)))
    assert build_pool(Head()) is None


def test_the_average_pool_equals_a_resnets_own_pool() -> None:
    own = build_classifier("torchvision/resnet18", classes=2, weights="random", image_size=64, seed=0).eval()
    asked = build_classifier(
        "torchvision/resnet18", classes=2, weights="random", head=Head(pool="avg"), image_size=64, seed=0
    ).eval()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    torch.testing.assert_close(own(images), asked(images))


def test_a_pool_on_a_backbone_without_maps_is_refused() -> None:
    with pytest.raises(MeltpointError, match=r"head\.pool max needs feature maps, and its last stage gives none"):
        build_classifier("torchvision/vgg11", classes=2, weights="random", head=Head(pool="max"), seed=0)
