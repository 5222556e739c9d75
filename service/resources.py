"""How many trials run at once, and on what share of the machine each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from search_spaces import Recipe, ResourcesSpec, SweepSpec, recipes_drawn
from service.errors import ResourcesError
from trainables.gpus import Gpu
from trainables.memory_needs import GPU_OVERHEAD, step_bytes

TRIALS_A_GPU = 4
"""At most so many trials share a GPU whose memory is not known; a trial that needs more lowers its micro-batch."""

_USABLE_SHARE = 0.9


@dataclass(frozen=True, kw_only=True)
class Allotment:
    """`slots` trials at once, each with `cpu` cores and `gpu` GPUs (a fraction shares one)."""

    cpu: float
    gpu: float
    slots: int

    @property
    def threads(self) -> int:
        return max(1, int(self.cpu))

    @property
    def device(self) -> str:
        return "cuda" if self.gpu > 0 else "cpu"


def share_out(spec: SweepSpec, *, cpus: float, gpus: float, listed: Sequence[Gpu]) -> Allotment:
    """The allotment of a sweep: on `gpu: auto` as many trials a GPU as cores and memory allow.

    listed: the GPUs that trials will run on, empty where they are not known.
    Raises ResourcesError as `allot` does, MeltpointError for images of a size that a backbone does not take.
    """
    most = TRIALS_A_GPU
    if gpus and listed and spec.resources.gpu == "auto":
        most = trials_a_gpu(listed, largest_need(recipes_drawn(spec), image_size=spec.data.image_size))
    return allot(spec.resources, cpus=cpus, gpus=gpus, trials=spec.budget.trials, most_a_gpu=most)


def allot(asked: ResourcesSpec, *, cpus: float, gpus: float, trials: int, most_a_gpu: int = TRIALS_A_GPU) -> Allotment:
    """Share out `cpus` cores and `gpus` GPUs among at most `trials` trials.

    `gpu: auto` is nothing where there is no GPU, else a share such that the cores are used, with at most
    `most_a_gpu` trials on one GPU.

    Raises:
        ResourcesError: one trial asks for more than there is; says how much there is.
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


def trials_a_gpu(gpus: Iterable[Gpu], need: int) -> int:
    """How many trials, each of which holds `need` bytes at its highest, the smallest of `gpus` has room for.

    Nine tenths of what is free there are shared out, and `GPU_OVERHEAD` is added to each trial. At least one: a
    single trial that needs more than there is lowers its micro-batch. `TRIALS_A_GPU` where no GPU is listed.
    """
    free = min((gpu.free for gpu in gpus), default=None)
    if free is None:
        return TRIALS_A_GPU
    return max(1, int(_USABLE_SHARE * free // (need + GPU_OVERHEAD)))


def largest_need(recipes: Iterable[Recipe], *, image_size: int) -> int:
    """Bytes that the hungriest trial holds, from shapes: each backbone with its least frozen and largest batch."""
    extremes: dict[str, tuple[int, int]] = {}
    for recipe in recipes:
        depth, batch = extremes.get(recipe.backbone, (recipe.freeze_depth, recipe.batch_size))
        extremes[recipe.backbone] = min(depth, recipe.freeze_depth), max(batch, recipe.batch_size)
    needs = [
        step_bytes(backbone, image_size=image_size, depth=depth, batch_size=batch)
        for backbone, (depth, batch) in extremes.items()
    ]
    return max(needs, default=0)


def _share(gpus: float, by_cpu: int, most_a_gpu: int) -> float:
    if not gpus:
        return 0.0
    a_gpu = min(most_a_gpu, max(1, round(by_cpu / gpus)))
    return 1.0 / a_gpu


def _fit(gpus: float, gpu: float) -> int:
    """Ray gives a fraction from one GPU, or whole GPUs."""
    return int(gpus * int(1 / gpu + 1e-9)) if gpu <= 1 else int(gpus // gpu)
