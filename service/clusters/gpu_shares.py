"""Shares of a GPU: the number of trials on one, by the memory that the largest trial needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from search_spaces import Recipe, SweepSpec, recipes_drawn
from service.clusters.allotments import TRIALS_A_GPU, Allotment, allot, allot_on_nodes, check_accelerator
from service.clusters.placements import ClusterNode
from trainables.devices import Gpu
from trainables.measurements import GPU_OVERHEAD, estimate_step_bytes

__all__ = ["largest_need", "share_out", "trials_a_gpu"]

_USABLE_SHARE = 0.9


def share_out(
    spec: SweepSpec,
    *,
    cpus: float,
    gpus: float,
    listed: Sequence[Gpu],
    nodes: Sequence[ClusterNode] | None = None,
) -> Allotment:
    """Return the allotment of a sweep: on `gpu: auto` as many trials a GPU as cores and memory allow.

    listed: the GPUs that trials will run on, empty if they are not known.
    nodes: of a cluster, as it is now; None for a machine alone. A cluster may still get what a trial asks for.
    Raises ResourcesError as `allot` does, MeltpointError for images of a size that a backbone does not take.
    """
    most = TRIALS_A_GPU
    if gpus and listed and spec.resources.gpu == "auto":
        most = trials_a_gpu(listed, largest_need(recipes_drawn(spec), image_size=spec.data.image_size))
    if nodes is not None:
        return allot_on_nodes(spec.resources, nodes, trials=spec.budget.trials, most_a_gpu=most)
    check_accelerator(spec.resources, [gpu.name for gpu in listed])
    return allot(spec.resources, cpus=cpus, gpus=gpus, trials=spec.budget.trials, most_a_gpu=most)


def trials_a_gpu(gpus: Iterable[Gpu], need: int) -> int:
    """Return the number of trials for which the smallest of `gpus` has room; need: bytes of a trial at its peak.

    Nine tenths of the free memory are shared out, and `GPU_OVERHEAD` is added to each trial. At least 1: a single trial
    that needs more lowers its micro-batch. `TRIALS_A_GPU` if no GPU is listed.
    """
    free = min((gpu.free for gpu in gpus), default=None)
    if free is None:
        return TRIALS_A_GPU
    return max(1, int(_USABLE_SHARE * free // (need + GPU_OVERHEAD)))


def largest_need(recipes: Iterable[Recipe], *, image_size: int) -> int:
    """Return the peak bytes of the largest trial: each backbone least frozen, with its largest batch."""
    extremes: dict[str, tuple[int, int]] = {}
    for recipe in recipes:
        depth, batch = extremes.get(recipe.backbone, (recipe.freeze_depth, recipe.images_at_once))
        extremes[recipe.backbone] = min(depth, recipe.freeze_depth), max(batch, recipe.images_at_once)
    needs = [
        estimate_step_bytes(backbone, image_size=image_size, depth=depth, batch_size=batch)
        for backbone, (depth, batch) in extremes.items()
    ]
    return max(needs, default=0)
