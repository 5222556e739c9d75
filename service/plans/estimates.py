"""Estimates of a sweep: its trials played through its own early stopping, with measured costs."""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces import Recipe
from service.schedulers import Report, Reports, Scheduler
from trainables.measurements import DataCosts, StageCosts

__all__ = ["Frozen", "Playthrough", "TrialCosts", "Workload", "play", "trial_costs"]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The images that an epoch reads: numbers in train and val, and whether they are decoded each time."""

    train: int
    val: int
    streamed: bool


@dataclass(frozen=True, kw_only=True)
class TrialCosts:
    """The costs of one recipe: seconds until it trains, seconds of an epoch, peak bytes beside those of the process."""

    build: float
    epoch: float
    memory: int


@dataclass(frozen=True, kw_only=True)
class Playthrough:
    """The result of playing a sweep through: wall seconds, all workers' seconds, epochs, trials stopped early."""

    seconds: float
    worker_seconds: float
    epochs: int
    stopped: int


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """Seconds an image that a trial spends on its frozen stages, in training and in validation.

    kept: nothing is decoded or drawn for it, since activations are read.
    """

    training: float
    evaluation: float
    kept: bool


def trial_costs(recipe: Recipe, stages: StageCosts, data: DataCosts, work: Workload, frozen: Frozen) -> TrialCosts:
    """Return the costs of an epoch of `recipe`: views, frozen and trained stages, and the evaluation on val.

    Decoding of streamed images is spread over the threads that a trial computes with.
    """
    depth = recipe.freeze_depth
    decoding = data.decode / stages.threads if work.streamed and not frozen.kept else 0.0
    drawing = 0.0 if frozen.kept else data.views[recipe.augment.drawing]
    step = stages.step_seconds(depth, recipe.batch_size or work.train)
    training = recipe.passes * (decoding + drawing + frozen.training + step)
    behind = stages.evaluation_seconds() - stages.prefix_seconds(depth)
    epoch = work.train * training + work.val * (decoding + frozen.evaluation + behind)
    memory = stages.memory_bytes(recipe.freeze_depth, recipe.images_at_once)
    return TrialCosts(build=stages.build, epoch=epoch, memory=memory)


def play(trials: Sequence[TrialCosts], *, slots: int, scheduler: Scheduler, seed: int = 0) -> Playthrough:
    """Run the trials on `slots` workers, each as soon as one is free, with early stopping by `scheduler`.

    How good a trial is, is drawn once and holds for all its epochs: which trials are stopped is chance, how many
    is the scheduler's doing.
    """
    rng = random.Random(seed)
    quality = [rng.random() for _ in trials]
    milestones = scheduler.milestones
    reports = Reports()
    waiting = iter(range(len(trials)))
    events: list[tuple[float, int, int]] = []
    now, worked, trained, stopped = 0.0, 0.0, 0, 0

    def begin(at: float) -> None:
        number = next(waiting, None)
        if number is not None:
            heapq.heappush(events, (at + trials[number].build + trials[number].epoch * milestones[0], number, 0))

    for _ in range(slots):
        begin(0.0)
    while events:
        now, number, rung = heapq.heappop(events)
        report = Report(number=number, epoch=milestones[rung], value=quality[number])
        last = rung == len(milestones) - 1
        stops = not last and scheduler.stops(reports, report)
        reports.add(report)
        if not last and not stops:
            more = milestones[rung + 1] - milestones[rung]
            heapq.heappush(events, (now + trials[number].epoch * more, number, rung + 1))
            continue
        stopped += stops
        trained += milestones[rung]
        worked += trials[number].build + trials[number].epoch * milestones[rung]
        begin(now)
    return Playthrough(seconds=now, worker_seconds=worked, epochs=trained, stopped=stopped)
