"""How many trials of a sweep share a GPU, by the memory that the hungriest of them needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from search_spaces import Recipe, SweepSpec, recipes_drawn
from service.resources import TRIALS_A_GPU
from trainables.gpus import Gpu
from trainables.memory_needs import GPU_OVERHEAD, step_bytes

__all__ = ["largest_need", "most_a_gpu", "trials_a_gpu"]

_USABLE_SHARE = 0.9


def most_a_gpu(spec: SweepSpec, listed: Sequence[Gpu]) -> int:
    """How many of the sweep's trials fit one of the GPUs `listed`, which is empty where they are not known.

    Raises MeltpointError for images of a size that a backbone does not take.
    """
    if not listed or spec.resources.gpu != "auto":
        return TRIALS_A_GPU
    return trials_a_gpu(listed, largest_need(recipes_drawn(spec), image_size=spec.data.image_size))


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
