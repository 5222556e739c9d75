from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from search_spaces.records import Mix
from trainables.augmentations import draw_blend

SIDE = 12


def pixels(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)


@given(strength=st.floats(0.05, 8), count=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_mixup_is_a_weighted_mean_of_two_images_and_of_their_losses(strength: float, count: int, seed: int) -> None:
    blend = draw_blend(Mix(mixup=strength), count, SIDE, np.random.default_rng(seed))
    assert blend is not None
    assert 0 <= blend.share <= 1
    images = pixels(count)
    others = images[torch.from_numpy(blend.partners)]
    mixed = blend.mix_images(images)
    torch.testing.assert_close(mixed, blend.share * images.float() + (1 - blend.share) * others.float())
    logits, labels = torch.randn(count, 3), torch.arange(count) % 3
    targets = blend.share * functional.one_hot(labels, 3) + (1 - blend.share) * functional.one_hot(
        labels[torch.from_numpy(blend.partners)], 3
    )
    loss = blend.mix_loss(lambda truth: functional.cross_entropy(logits, truth), labels, slice(None))
    torch.testing.assert_close(loss, functional.cross_entropy(logits, targets))


@given(strength=st.floats(0.05, 8), seed=st.integers(0, 2**32 - 1))
def test_cutmix_weighs_labels_by_the_pixels_of_each_image(strength: float, seed: int) -> None:
    blend = draw_blend(Mix(cutmix=strength), 6, SIDE, np.random.default_rng(seed))
    assert blend is not None
    own = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, SIDE, SIDE)
    mixed = blend.mix_images(own)
    for number, partner in enumerate(blend.partners.tolist()):
        share = (mixed[number] == number).float().mean().item()
        assert share == pytest.approx(1.0 if partner == number else blend.share, abs=1e-6)
        assert set(mixed[number].unique().tolist()) <= {number, partner}


def test_shares_are_drawn_from_a_beta_distribution() -> None:
    generator = np.random.default_rng(0)
    shares = [blend.share for _ in range(4000) if (blend := draw_blend(Mix(mixup=0.4), 2, SIDE, generator))]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)
    assert np.var(shares) == pytest.approx(1 / (4 * (2 * 0.4 + 1)), abs=0.01)


def test_with_mixup_and_cutmix_each_batch_has_one_of_them() -> None:
    generator = np.random.default_rng(0)
    drawn = [draw_blend(Mix(mixup=1.0, cutmix=1.0), 4, SIDE, generator) for _ in range(400)]
    boxes = [blend.box is not None for blend in drawn if blend]
    assert 0.4 < np.mean(boxes) < 0.6
    assert draw_blend(Mix(), 4, SIDE, generator) is None
