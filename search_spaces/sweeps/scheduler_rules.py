"""Rules between the scheduler's keys, and between the scheduler and the budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from search_spaces.errors import Problem
from search_spaces.sweeps.sections import SCHEDULER_KEYS, SchedulerSpec


def rungs_below(epochs: int, *, grace_epochs: int, reduction_factor: int) -> tuple[int, ...]:
    """Return the epochs after which successive halving decides, for trials of at most `epochs` epochs.

    These are `grace_epochs` x `reduction_factor`^k for k = 0, 1, ... before the last epoch.
    """
    rungs, rung = [], grace_epochs
    while rung < epochs:
        rungs.append(rung)
        rung *= reduction_factor
    return tuple(rungs)


def unused_keys(raw: object) -> Iterator[Problem]:
    """Yield a problem for each key of a `scheduler` document that its type does not use."""
    if not isinstance(raw, Mapping):
        return
    kind = raw.get("type", "none")
    if not isinstance(kind, str) or kind not in SCHEDULER_KEYS:
        return
    for key in raw:
        users = [name for name, keys in SCHEDULER_KEYS.items() if key in keys]
        if users and kind not in users:
            rule = f"is not used by type {kind}, only by {', '.join(users)}"
            yield Problem(path=f"scheduler.{key}", rule=rule)


def misfits(scheduler: SchedulerSpec, epochs: int) -> Iterator[Problem]:
    """Yield a problem for each value of `scheduler` that does not fit trials of at most `epochs` epochs."""
    keys, grace = SCHEDULER_KEYS[scheduler.type], scheduler.grace_epochs
    if "grace_epochs" in keys and grace > epochs:
        rule = f"must be <= budget.epochs, which is {epochs}"
        yield Problem(path="scheduler.grace_epochs", rule=rule, value=grace)
        return
    rungs = rungs_below(epochs, grace_epochs=grace, reduction_factor=scheduler.reduction_factor)
    if "brackets" in keys and scheduler.brackets > max(1, len(rungs)):
        rule = f"must be 1, because no rung comes before the last epoch, {epochs}"
        if rungs:
            listed = ", ".join(map(str, rungs))
            rule = f"must be <= {len(rungs)}, the number of rungs before the last epoch, {epochs}: {listed}"
        yield Problem(path="scheduler.brackets", rule=rule, value=scheduler.brackets)
