"""The division of a machine among trials."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import ResourcesSpec, parse_spec
from service.clusters import TRIALS_A_GPU, Allotment
from service.clusters.allotments import allot
from service.clusters.gpu_shares import share_out, trials_a_gpu
from service.errors import ResourcesError
from trainables.devices import Gpu
from trainables.measurements import GPU_OVERHEAD


def test_a_core_a_trial_without_a_gpu() -> None:
    share = allot(ResourcesSpec(), cpus=8, gpus=0, trials=100)
    assert (share.slots, share.gpu, share.device, share.threads) == (8, 0.0, "cpu", 1)


def test_no_more_slots_than_trials() -> None:
    assert allot(ResourcesSpec(), cpus=8, gpus=0, trials=3).slots == 3


def test_a_trial_of_several_cores_uses_as_many_threads() -> None:
    share = allot(ResourcesSpec(cpu=3), cpus=8, gpus=0, trials=100)
    assert (share.slots, share.threads) == (2, 3)


@pytest.mark.parametrize(
    ("cpus", "gpus", "share", "slots"), [(16, 1, 0.25, 4), (2, 1, 0.5, 2), (1, 1, 1.0, 1), (16, 4, 0.25, 16)]
)
def test_auto_shares_each_gpu_among_at_most_four(cpus: float, gpus: float, share: float, slots: int) -> None:
    made = allot(ResourcesSpec(gpu="auto"), cpus=cpus, gpus=gpus, trials=100)
    assert (made.gpu, made.slots, made.device) == (share, slots, "cuda")


def test_fractions_and_whole_gpus() -> None:
    assert allot(ResourcesSpec(gpu=0.3), cpus=16, gpus=2, trials=100).slots == 6
    assert allot(ResourcesSpec(gpu=2), cpus=16, gpus=5, trials=100).slots == 2
    assert allot(ResourcesSpec(gpu=0), cpus=16, gpus=5, trials=100).device == "cpu"


def test_asking_for_what_is_not_there_says_how_much_there_is() -> None:
    with pytest.raises(ResourcesError, match=r"resources\.gpu: a trial asks for 1 GPUs, there are 0"):
        allot(ResourcesSpec(gpu=1), cpus=2, gpus=0, trials=4)
    with pytest.raises(ResourcesError, match=r"resources\.cpu: a trial asks for 4 cores, there are 2"):
        allot(ResourcesSpec(cpu=4), cpus=2, gpus=0, trials=4)


def card(free_gb: float) -> Gpu:
    return Gpu(name="card", memory=80 * 10**9, free=int(free_gb * 10**9), driver="1")


@given(st.integers(10**8, 10**12), st.lists(st.floats(1, 200), min_size=1, max_size=4))
def test_trials_on_a_gpu_fit_the_smallest_of_them_together(need: int, free: list[float]) -> None:
    several = trials_a_gpu([card(gigabytes) for gigabytes in free], need)
    assert several >= 1
    assert several == 1 or several * (need + GPU_OVERHEAD) <= min(free) * 10**9
    assert trials_a_gpu([card(gigabytes) for gigabytes in free], 2 * need) <= several


def test_where_memory_is_not_known_the_figure_is_cautious() -> None:
    assert trials_a_gpu([], 10**6) == TRIALS_A_GPU


def shared(backbone: str, free_gb: float, listed: bool = True, more: str = "") -> Allotment:
    text = (
        "name: a\ndata: {source: digits, image_size: 224}\n"
        f"space: {{backbone: {backbone}, weights: random, freeze_depth: {{values: [0, all]}}, batch_size: 64}}\n{more}"
    )
    cards = [card(free_gb)] if listed else []
    return share_out(parse_spec(text, file="s.yaml"), cpus=16, gpus=1, listed=cards)


def test_a_sweep_shares_a_gpu_as_its_memory_allows() -> None:
    small, large = shared("torchvision/resnet18", 80), shared("torchvision/vit_b_16", 80)
    assert small.slots > large.slots > 1
    assert small.gpu == pytest.approx(1 / small.slots)
    assert shared("torchvision/vit_b_16", 6).slots == 1
    assert shared("torchvision/resnet18", 80, listed=False).slots == TRIALS_A_GPU


def test_a_share_that_was_asked_for_stands() -> None:
    assert shared("torchvision/vit_b_16", 6, more="resources: {gpu: 0.25}\n").slots == 4
