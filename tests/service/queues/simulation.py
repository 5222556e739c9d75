"""A simulated pool of lanes that trains the trials of several sweeps, in simulated seconds."""

from __future__ import annotations

import heapq
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from service.queues import Candidate, Shares

__all__ = ["Pool", "SimulatedSweep", "Trial"]


@dataclass
class Trial:
    """A trial that has `reports` more reports to give, one every `seconds`."""

    seconds: float
    reports: int


@dataclass
class SimulatedSweep:
    """A sweep that begins at `begins` and wants to train `trials` trials, as many at once as `parallel`."""

    name: str
    owner: str
    trials: int
    make_trial: Callable[[random.Random], Trial]
    weight: float = 1.0
    priority: int = 0
    slot_cap: int | None = None
    max_slots: int | None = None
    begins: float = 0.0
    parallel: int = 1000
    running: int = 0
    paused: list[Trial] = field(default_factory=list)
    first_lane_at: float | None = None

    def wanted(self, now: float) -> int:
        if now < self.begins:
            return 0
        return max(0, min(self.trials + len(self.paused), self.parallel - self.running))

    def candidate(self, now: float) -> Candidate:
        return Candidate(
            sweep_id=self.name,
            owner=self.owner,
            running=self.running,
            wanted=self.wanted(now),
            weight=self.weight,
            priority=self.priority,
            slot_cap=self.slot_cap,
            max_slots=self.max_slots,
        )


class Pool:
    """Lanes that serve sweeps by their shares; `run` moves the time on."""

    def __init__(
        self, lanes: int, sweeps: list[SimulatedSweep], *, seed: int = 0, shares: Shares | None = None
    ) -> None:
        self.now = 0.0
        self.shares = shares or Shares()
        self.sweeps = {sweep.name: sweep for sweep in sweeps}
        self.used: dict[str, float] = dict.fromkeys(self.sweeps, 0.0)
        """Lane seconds by sweep."""
        self.passes_lanes_on = True
        """If False, a lane that yields goes to the first in rank at that moment."""
        self.preemptions = 0
        self.longest_wait: defaultdict[str, float] = defaultdict(float)
        """By owner: the longest time with demand and without a lane."""
        self.after: Callable[[Pool], None] = lambda _pool: None
        """Called after every event, when the free lanes have been given away."""
        self._random = random.Random(seed)
        self._free = lanes
        self._lanes: dict[int, tuple[str, Trial]] = {}
        self._events: list[tuple[float, int, int]] = []
        self._waits_since: dict[str, float] = {}
        self._numbers = 0
        for sweep in sweeps:
            self._push(sweep.begins, -1)

    @property
    def free(self) -> int:
        return self._free

    def by_owner(self) -> dict[str, float]:
        used: defaultdict[str, float] = defaultdict(float)
        for name, seconds in self.used.items():
            used[self.sweeps[name].owner] += seconds
        return dict(used)

    def candidates(self) -> list[Candidate]:
        """Return the sweeps under way in another order each time."""
        alive = [
            sweep
            for sweep in self.sweeps.values()
            if sweep.begins <= self.now and (sweep.trials or sweep.paused or sweep.running)
        ]
        self._random.shuffle(alive)
        return [sweep.candidate(self.now) for sweep in alive]

    def run(self, until: float) -> None:
        self._fill()
        while self._events and self._events[0][0] <= until:
            at, _, lane = heapq.heappop(self._events)
            self._charge(at)
            if lane >= 0:
                self._report(lane)
            self._fill()
            self._note_waits()
            self.after(self)
        self._charge(until)
        self._note_waits()

    def _push(self, at: float, lane: int) -> None:
        self._numbers += 1
        heapq.heappush(self._events, (at, self._numbers, lane))

    def _charge(self, at: float) -> None:
        for name, _ in self._lanes.values():
            self.shares.charge(name, at - self.now)
            self.used[name] += at - self.now
        self.now = at

    def _report(self, lane: int) -> None:
        name, trial = self._lanes[lane]
        sweep = self.sweeps[name]
        trial.reports -= 1
        if trial.reports == 0:
            self._release(lane)
            return
        preemption = self.shares.should_yield(name, self.candidates())
        if preemption is None:
            self._push(self.now + trial.seconds, lane)
            return
        self.preemptions += 1
        sweep.paused.append(trial)
        self._release(lane)
        if preemption.to is not None and self.passes_lanes_on:
            self._start(preemption.to)

    def _release(self, lane: int) -> None:
        name, _ = self._lanes.pop(lane)
        self.sweeps[name].running -= 1
        self._free += 1

    def _start(self, name: str) -> None:
        sweep = self.sweeps[name]
        if sweep.paused:
            trial = sweep.paused.pop(0)
        else:
            sweep.trials -= 1
            trial = sweep.make_trial(self._random)
        if sweep.first_lane_at is None:
            sweep.first_lane_at = self.now
        sweep.running += 1
        self._free -= 1
        self._numbers += 1
        lane = self._numbers
        self._lanes[lane] = (name, trial)
        self._push(self.now + trial.seconds, lane)

    def _fill(self) -> None:
        while self._free > 0:
            ranked = self.shares.rank(self.candidates())
            if not ranked:
                return
            self._start(ranked[0])

    def _note_waits(self) -> None:
        lanes: Counter[str] = Counter()
        waiting = set()
        for sweep in self.sweeps.values():
            lanes[sweep.owner] += sweep.running
            if sweep.wanted(self.now):
                waiting.add(sweep.owner)
        for owner in {sweep.owner for sweep in self.sweeps.values()}:
            if lanes[owner] or owner not in waiting:
                since = self._waits_since.pop(owner, self.now)
            else:
                since = self._waits_since.setdefault(owner, self.now)
            self.longest_wait[owner] = max(self.longest_wait[owner], self.now - since)
