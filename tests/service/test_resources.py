"""How a machine is shared out among trials."""

from __future__ import annotations

import pytest

from search_spaces import ResourcesSpec
from service.errors import ResourcesError
from service.resources import allot


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
    given = allot(ResourcesSpec(gpu="auto"), cpus=cpus, gpus=gpus, trials=100)
    assert (given.gpu, given.slots, given.device) == (share, slots, "cuda")


def test_fractions_and_whole_gpus() -> None:
    assert allot(ResourcesSpec(gpu=0.3), cpus=16, gpus=2, trials=100).slots == 6
    assert allot(ResourcesSpec(gpu=2), cpus=16, gpus=5, trials=100).slots == 2
    assert allot(ResourcesSpec(gpu=0), cpus=16, gpus=5, trials=100).device == "cpu"


def test_asking_for_what_is_not_there_says_how_much_there_is() -> None:
    with pytest.raises(ResourcesError, match=r"resources\.gpu: a trial asks for 1 GPUs, there are 0"):
        allot(ResourcesSpec(gpu=1), cpus=2, gpus=0, trials=4)
    with pytest.raises(ResourcesError, match=r"resources\.cpu: a trial asks for 4 cores, there are 2"):
        allot(ResourcesSpec(cpu=4), cpus=2, gpus=0, trials=4)
