"""Allotments: the number of trials at once, and the share of the machine that each gets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from search_spaces import ResourcesSpec
from service.clusters.placements import ClusterNode, LaneShape
from service.errors import ResourcesError

TRIALS_A_GPU = 4
"""Most trials on a GPU whose memory is not known; a trial that needs more memory lowers its micro-batch."""


@dataclass(frozen=True, kw_only=True)
class Allotment:
    """`slots` trials at once, each with `cpu` cores and `gpu` GPUs (a fraction shares one).

    accelerator: the kind of GPU; None for any. On a cluster `slots` is the number at the start.
    """

    cpu: float
    gpu: float
    slots: int
    accelerator: str | None = None

    @property
    def shape(self) -> LaneShape:
        """The resources of the lane of a trial."""
        return LaneShape(self.cpu, self.gpu, self.accelerator)

    @property
    def threads(self) -> int:
        """Threads that a trial computes with."""
        return max(1, int(self.cpu))

    @property
    def members(self) -> int:
        """Processes that train a trial together: one for each whole GPU, and at least one."""
        return max(1, int(self.gpu))

    @property
    def device(self) -> str:
        """Device of every trial: `cuda` or `cpu`."""
        return "cuda" if self.gpu > 0 else "cpu"


def allot(asked: ResourcesSpec, *, cpus: float, gpus: float, trials: int, most_a_gpu: int = TRIALS_A_GPU) -> Allotment:
    """Share out `cpus` cores and `gpus` GPUs among at most `trials` trials.

    `gpu: auto` is 0 if there is no GPU, else a share with which all cores are used and at most `most_a_gpu` trials
    share a GPU.

    Raises:
        ResourcesError: a trial asks for more than there is; the message says how much there is.
    """
    if asked.cpu > cpus:
        raise ResourcesError(f"resources.cpu: a trial asks for {asked.cpu:g} cores, there are {cpus:g}")
    by_cpu = int(cpus / asked.cpu)
    if asked.gpu == "auto":
        gpu = _share(gpus, by_cpu, most_a_gpu)
    elif asked.gpu > gpus:
        raise ResourcesError(f"resources.gpu: a trial asks for {asked.gpu:g} GPUs, there are {gpus:g}")
    else:
        gpu = float(asked.gpu)
    by_gpu = _fit(gpus, gpu) if gpu else by_cpu
    return Allotment(cpu=asked.cpu, gpu=gpu, slots=max(1, min(by_cpu, by_gpu, trials)))


def allot_on_nodes(
    asked: ResourcesSpec, nodes: Sequence[ClusterNode], *, trials: int, most_a_gpu: int = TRIALS_A_GPU
) -> Allotment:
    """Share out a cluster as it is now among at most `trials` trials; what a trial asks for may still join.

    `gpu: auto` is 0 if no node has a GPU, else a share as in `allot`. It is 1 if no node has the kind of GPU that is
    asked for: how many trials will share one is not known then.
    """
    usable = [node for node in nodes if asked.accelerator in (None, node.accelerator)]
    gpus = sum(node.gpus for node in usable)
    if asked.gpu != "auto":
        gpu = float(asked.gpu)
    elif asked.accelerator is not None and not gpus:
        gpu = 1.0
    else:
        with_gpus = [node for node in usable if node.gpus]
        gpu = _share(gpus, int(sum(node.cores for node in with_gpus) / asked.cpu), most_a_gpu)
    shape = LaneShape(asked.cpu, gpu, asked.accelerator)
    slots = sum(node.slots(shape) for node in nodes)
    return Allotment(cpu=asked.cpu, gpu=gpu, slots=max(1, min(slots, trials)), accelerator=asked.accelerator)


def check_accelerator(asked: ResourcesSpec, names: Iterable[str]) -> None:
    """Check that a machine's GPUs are of the kind asked for. names: of its GPUs, such as `NVIDIA H100 80GB HBM3`.

    Raises:
        ResourcesError: none is of that kind.
    """
    names = list(names)
    if asked.accelerator is None or any(asked.accelerator.lower() in name.lower() for name in names):
        return
    there = f"the GPUs here are {', '.join(names)}" if names else "there is no GPU here"
    raise ResourcesError(f"resources.accelerator: no GPU is of kind {asked.accelerator}; {there}")


def _share(gpus: float, by_cpu: int, most_a_gpu: int) -> float:
    if not gpus:
        return 0.0
    a_gpu = min(most_a_gpu, max(1, round(by_cpu / gpus)))
    return 1.0 / a_gpu


def _fit(gpus: float, gpu: float) -> int:
    """Return the number of trials that fit; Ray gives a fraction of one GPU, or whole GPUs."""
    return int(gpus * int(1 / gpu + 1e-9)) if gpu <= 1 else int(gpus // gpu)
