"""Brackets of asynchronous Hyperband: the bracket of each trial, computed from its number."""

from __future__ import annotations

import hashlib
import itertools
import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

from search_spaces import rungs_below
from service.ledgers import Sweep

_GOLDEN: Final = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, kw_only=True)
class Brackets:
    """Groups of trials, each with one rung fewer than the one before, so that slow starters have their chance.

    Bracket s of 0 ... `count` - 1 leaves out the first s of `rungs`. With k rungs left it gets a share of the trials
    in proportion to `reduction_factor`^k / (k + 1), as Hyperband gives it (Li et al., JMLR 2018, algorithm 1). A
    trial's bracket follows from its number and the sweep's seed alone; any run of consecutive trials comes close to
    the shares.
    """

    count: int
    rungs: tuple[int, ...]
    reduction_factor: int
    seed: int

    def rungs_of(self, bracket: int) -> tuple[int, ...]:
        """Return the epochs after which trials of this bracket are compared."""
        return self.rungs[bracket:]

    def bracket_of(self, number: int) -> int:
        """Return the bracket of the trial with this number."""
        place = (_start(self.seed) + number * _GOLDEN) % 1.0
        return min(bisect_right(self._ends, place), self.count - 1)

    @cached_property
    def _ends(self) -> list[float]:
        return list(itertools.accumulate(self.shares()))

    def shares(self) -> list[float]:
        """Return each bracket's share of the trials; together 1."""
        left = [len(self.rungs_of(bracket)) for bracket in range(self.count)]
        weights = [float(self.reduction_factor) ** (rungs - left[0]) / (rungs + 1) for rungs in left]
        return [weight / sum(weights) for weight in weights]


def bracket_in(sweep: Sweep, number: int) -> int | None:
    """Return the bracket of a recorded sweep's trial; None if the sweep has only one."""
    settings = sweep.settings
    count = settings.get("scheduler.brackets", 1)
    if count == 1:
        return None
    grace, factor = settings["scheduler.grace_epochs"], settings["scheduler.reduction_factor"]
    rungs = rungs_below(settings["budget.epochs"], grace_epochs=grace, reduction_factor=factor)
    return Brackets(count=count, rungs=rungs, reduction_factor=factor, seed=sweep.seed).bracket_of(number)


@cache
def _start(seed: int) -> float:
    """Return the position of trial 0 between 0 and 1."""
    return int.from_bytes(hashlib.sha256(f"bracket/{seed}".encode()).digest()[:4], "big") / 2**32
