"""Allotments: the number of trials at once, and the share of the machine that each gets."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces import ResourcesSpec
from service.errors import ResourcesError

TRIALS_A_GPU = 4
"""Most trials on a GPU whose memory is not known; a trial that needs more memory lowers its micro-batch."""


@dataclass(frozen=True, kw_only=True)
class Allotment:
    """`slots` trials at once, each with `cpu` cores and `gpu` GPUs (a fraction shares one)."""

    cpu: float
    gpu: float
    slots: int

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


def _share(gpus: float, by_cpu: int, most_a_gpu: int) -> float:
    if not gpus:
        return 0.0
    a_gpu = min(most_a_gpu, max(1, round(by_cpu / gpus)))
    return 1.0 / a_gpu


def _fit(gpus: float, gpu: float) -> int:
    """Return the number of trials that fit; Ray gives a fraction of one GPU, or whole GPUs."""
    return int(gpus * int(1 / gpu + 1e-9)) if gpu <= 1 else int(gpus // gpu)
