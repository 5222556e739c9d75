from __future__ import annotations

import numpy as np
import pytest
import torch

from search_spaces.records import Augment
from trainables.augmentations.views import POLICIES, draw_views
from trainables.stores.prepared import PreparedData

CHANGING = [*sorted(set(POLICIES) - {"none"}), "none+cutout0.5", "lecture7+cutout0.25"]


@pytest.fixture(scope="module")
def batch(tiny: PreparedData) -> tuple[torch.Tensor, np.ndarray]:
    """Return 60 digits as colour images."""
    rows = tiny.splits["train"][:60]
    pixels = tiny.images[rows].copy()
    pixels[..., 1] //= 2
    return torch.from_numpy(pixels).permute(0, 3, 1, 2), tiny.digests[rows]


def view(batch: tuple[torch.Tensor, np.ndarray], policy: str, number: int = 0, seed: int = 0) -> torch.Tensor:
    images, digests = batch
    return draw_views(images, digests, seed=seed, policy=policy, view=number)


def test_the_policy_none_leaves_images_unchanged(batch: tuple[torch.Tensor, np.ndarray]) -> None:
    assert torch.equal(view(batch, "none"), batch[0])


@pytest.mark.parametrize("policy", CHANGING)
def test_a_view_is_a_changed_image_of_the_same_kind(batch: tuple[torch.Tensor, np.ndarray], policy: str) -> None:
    before = batch[0].clone()
    drawn = view(batch, policy)

    assert drawn.shape == before.shape
    assert drawn.dtype == torch.uint8
    assert not torch.equal(drawn, before)
    assert torch.equal(batch[0], before)


@pytest.mark.parametrize("policy", CHANGING)
def test_a_view_depends_on_seed_and_number(batch: tuple[torch.Tensor, np.ndarray], policy: str) -> None:
    drawn = view(batch, policy)

    assert torch.equal(drawn, view(batch, policy))
    assert not torch.equal(drawn, view(batch, policy, number=1))
    assert not torch.equal(drawn, view(batch, policy, seed=1))


@pytest.mark.parametrize("policy", CHANGING)
def test_a_view_does_not_depend_on_its_batch(batch: tuple[torch.Tensor, np.ndarray], policy: str) -> None:
    images, digests = batch
    whole = view(batch, policy, number=3)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))

    shuffled = draw_views(images[order], digests[order.numpy()], seed=0, policy=policy, view=3)
    alone = draw_views(images[7:8].contiguous(), digests[7:8], seed=0, policy=policy, view=3)

    assert torch.equal(shuffled, whole[order])
    assert torch.equal(alone, whole[7:8])


@pytest.mark.parametrize("policy", CHANGING)
def test_a_view_neither_reads_nor_changes_the_global_random_state(
    batch: tuple[torch.Tensor, np.ndarray], policy: str
) -> None:
    torch.manual_seed(1)
    first = view(batch, policy)
    torch.manual_seed(2)
    before = torch.get_rng_state()

    assert torch.equal(view(batch, policy), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_about_half_of_all_views_are_mirrored(batch: tuple[torch.Tensor, np.ndarray]) -> None:
    images = batch[0]
    mirrored = 0
    for number in range(20):
        drawn = view(batch, "flip", number)
        same = (drawn == images).flatten(1).all(1)
        turned = (drawn == images.flip(-1)).flatten(1).all(1)
        assert torch.all(same | turned)
        mirrored += int(turned.sum())

    assert 0.44 < mirrored / (20 * len(images)) < 0.56


def test_views_of_one_image_over_epochs_mirror_independently(
    batch: tuple[torch.Tensor, np.ndarray],
) -> None:
    drawn = torch.stack([view(batch, "flip", number) for number in range(40)])
    turned = (drawn == batch[0].flip(-1)).flatten(2).all(2).double()

    assert turned.mean(0).min() > 0.25
    assert turned.mean(0).max() < 0.8
    assert turned.mean(1).min() > 0.2
    assert turned.mean(1).max() < 0.8


def test_crops_keep_half_the_area_or_more() -> None:
    """Crop a ramp from 0 to 255, whose range in the crop shows the share of the width."""
    ramp = torch.arange(128, dtype=torch.uint8).mul(2).expand(100, 3, 128, 128)
    digests = np.arange(100, dtype=np.uint64)

    drawn = draw_views(ramp, digests, seed=0, policy="flip_crop", view=0)

    spans = (drawn.amax((1, 2, 3)).int() - drawn.amin((1, 2, 3)).int()).double() / 254
    assert spans.min() > (0.5 * 3 / 4) ** 0.5 - 0.02
    assert spans.max() > 0.95
    assert len(torch.unique(spans)) > 20


def test_colour_jitter_stays_within_its_factors() -> None:
    grey = torch.full((300, 3, 8, 8), 100, dtype=torch.uint8)

    drawn = draw_views(grey, np.arange(300, dtype=np.uint64), seed=0, policy="color", view=0)

    values = drawn[:, 0, 0, 0].int()
    assert torch.equal(drawn, drawn[:, :1, :1, :1].expand_as(drawn))  # a uniform grey stays uniform and grey
    assert 57 <= values.min() < 65
    assert 135 < values.max() <= 140


def test_the_policy_lecture7_flips_crops_and_changes_colours() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).mul(3).expand(100, 3, 64, 64)
    drawn = draw_views(ramp, np.arange(100, dtype=np.uint64), seed=0, policy="lecture7", view=0)
    left, right = drawn[..., 0].double().mean((1, 2)), drawn[..., -1].double().mean((1, 2))

    assert 30 < int((left > right).sum()) < 70
    assert drawn.amax() > 220
    assert len(torch.unique(drawn.double().mean((1, 2, 3)))) > 90


@pytest.mark.parametrize("policy", ["none", "flip", "lecture7"])
def test_a_cutout_covers_a_square_and_changes_nothing_else(policy: str) -> None:
    noise = torch.randint(0, 256, (200, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    digests = np.arange(200, dtype=np.uint64)
    without, cut = (draw_views(noise, digests, seed=0, policy=name, view=0) for name in (policy, f"{policy}+cutout0.5"))
    grey = torch.tensor([124, 116, 104], dtype=torch.uint8).view(3, 1, 1)
    greyed = (cut == grey).all(1)
    assert torch.equal(torch.where(greyed[:, None], without, cut), without)
    heights, widths = greyed.any(2).sum(1), greyed.any(1).sum(1)
    assert torch.equal(greyed.sum((1, 2)), heights * widths), "it is one rectangle"
    for extents in (heights, widths):
        assert extents.max() == 16, "half of 32"
        assert extents.min() >= 8, "its middle lies in the image"
        assert (extents == 16).double().mean() > 0.35, "half of the middles are so far inside"
    seen = greyed.double().mean(0)
    assert seen.min() > 0.03
    assert seen.max() < 0.45


def test_views_are_the_same_on_every_machine() -> None:
    ramp = torch.arange(4, dtype=torch.uint8).expand(16, 3, 4, 4)

    drawn = draw_views(ramp, np.arange(16, dtype=np.uint64), seed=5, policy="flip", view=2)

    assert "".join("-F"[int(image[0, 0, 0])] for image in drawn // 3) == "-------FFFFFF-F-"


def test_every_policy_of_the_vocabulary_can_be_drawn() -> None:
    assert all(Augment(policy=policy).policy == policy for policy in POLICIES)


def test_an_unknown_policy_and_unmatched_digests_are_refused(batch: tuple[torch.Tensor, np.ndarray]) -> None:
    images, digests = batch
    with pytest.raises(ValueError, match=r"must be one of none, flip, .* \('mirror'\)"):
        draw_views(images, digests, seed=0, policy="mirror", view=0)
    with pytest.raises(ValueError, match="one digest each"):
        draw_views(images, digests[:3], seed=0, policy="flip", view=0)


def test_drawing_restores_the_number_of_torch_threads(batch: tuple[torch.Tensor, np.ndarray]) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        view(batch, "color")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
