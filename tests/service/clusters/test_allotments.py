"""The division of a machine among trials."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import ResourcesSpec, parse_spec
from service.clusters import TRIALS_A_GPU, Allotment
from service.clusters.allotments import allot, allot_on_nodes, check_accelerator
from service.clusters.gpu_shares import share_out, trials_a_gpu
from service.clusters.placements import ClusterNode, LaneShape
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


def node(name: str, cores: float, gpus: float = 0.0, accelerator: str | None = None) -> ClusterNode:
    return ClusterNode(id=name, name=name, cores=cores, gpus=gpus, accelerator=accelerator)


def test_a_cluster_is_shared_out_node_by_node_and_may_have_no_node_yet() -> None:
    share = allot_on_nodes(ResourcesSpec(cpu=2), [node("a", 3), node("b", 3)], trials=100)
    assert (share.slots, share.gpu) == (2, 0.0), "6 cores in all would give 3"
    assert allot_on_nodes(ResourcesSpec(cpu=64), [node("a", 3)], trials=100).slots == 1, "a larger node may come"
    assert allot_on_nodes(ResourcesSpec(), [], trials=100).device == "cpu"
    assert allot_on_nodes(ResourcesSpec(gpu=1), [], trials=100).device == "cuda"
    mixed = allot_on_nodes(ResourcesSpec(), [node("a", 64), node("b", 4, 1)], trials=100)
    assert (mixed.gpu, mixed.slots) == (0.25, 4), "cores of nodes without GPUs do not count"


def test_a_kind_of_gpu_is_asked_for_by_its_name() -> None:
    wanted = ResourcesSpec(accelerator="H100")
    nodes = [node("a", 16, 4, "A10"), node("b", 8, 2, "H100")]
    share = allot_on_nodes(wanted, nodes, trials=100)
    assert (share.shape, share.slots) == (LaneShape(1.0, 0.25, "H100"), 8)
    assert allot_on_nodes(wanted, nodes[:1], trials=100).gpu == 1.0, "how many will share one is not known"
    check_accelerator(wanted, ["NVIDIA H100 80GB HBM3"])
    with pytest.raises(ResourcesError, match="no GPU is of kind H100; the GPUs here are NVIDIA A10"):
        check_accelerator(wanted, ["NVIDIA A10"])
    with pytest.raises(ResourcesError, match="there is no GPU here"):
        check_accelerator(wanted, [])
