"""Fair shares of lanes: which sweep a free lane serves, and when a lane's trial yields to another sweep."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from service.queues.virtual_times import VirtualTimes

__all__ = ["OWN_QUANTUM", "QUANTUM", "Candidate", "Preemption", "Shares"]

QUANTUM = 10.0
"""Lane seconds by which a user must be over another before a trial yields, at weight 1."""

OWN_QUANTUM = 60.0
"""The same between two sweeps of one user."""

_Level = int
"""A priority. Each priority has its own virtual times."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A sweep under way, as the lanes see it at one moment.

    running: lanes that train its trials, or were promised to it. wanted: trials that it would start at once if it had
    more lanes. slot_cap: most lanes of the sweep. weight, max_slots: of the owner; None is unlimited.
    """

    sweep_id: str
    owner: str
    running: int = 0
    wanted: int = 0
    weight: float = 1.0
    priority: int = 0
    slot_cap: int | None = None
    max_slots: int | None = None
    queued_at: int = 0

    def __post_init__(self) -> None:
        assert self.weight > 0, self.weight


@dataclass(frozen=True, kw_only=True)
class Preemption:
    """The decision that a lane's trial pauses at this report. to: the sweep that gets the lane; None: any, or none."""

    to: str | None
    reason: str


class Shares:
    """Weighted fair shares of lanes among users, and among the sweeps of each user.

    Strict priority comes first. Within a priority the owner with the least weighted use is next, then the owner's
    sweep with the least use (hierarchical start-time fair queueing, see `VirtualTimes`). A lane that runs counts as if
    it had used another quantum, so that several lanes that are free at once are spread over the owners.

    A trial yields only at a report, so that it loses nothing. Two equal users on one lane change places every two
    quanta. A sweep that never had a lane needs no quantum: it shows its first results soon.

    Calls: `charge` each busy lane at every report, at its trial's end, and about every second between; then `rank`
    for a free lane, or `should_yield` at a report. Pass every sweep under way each time, also one that wants nothing.
    Thread safety: none; one thread calls.
    """

    def __init__(self, quantum: float = QUANTUM, own_quantum: float = OWN_QUANTUM) -> None:
        self._quantum, self._own_quantum = quantum, own_quantum
        self._owners: defaultdict[_Level, VirtualTimes] = defaultdict(VirtualTimes)
        self._sweeps: defaultdict[tuple[_Level, str], VirtualTimes] = defaultdict(VirtualTimes)
        self._seen: dict[str, Candidate] = {}

    def charge(self, sweep_id: str, seconds: float) -> None:
        """Charge a sweep and its owner for lane seconds; a sweep that was in no call before is charged nothing."""
        sweep = self._seen.get(sweep_id)
        if sweep is not None and seconds > 0:
            self._owners[sweep.priority].charge(sweep.owner, seconds, sweep.weight)
            self._sweeps[sweep.priority, sweep.owner].charge(sweep_id, seconds)

    def rank(self, candidates: Collection[Candidate]) -> list[str]:
        """Return the sweeps that may take one more lane now, first the one that should."""
        self._observe(candidates)
        return [sweep.sweep_id for sweep in self._ranked(candidates)]

    def should_yield(self, sweep_id: str, candidates: Collection[Candidate]) -> Preemption | None:
        """Return whether the trial of `sweep_id` that reports just now should pause, and why.

        It does if the sweep has more lanes than its cap or its owner's, if a sweep of higher priority waits, or if
        the owner has used more than its share, by more than a quantum, while another owner waits.
        """
        self._observe(candidates)
        sweep = self._seen[sweep_id]
        lanes = _lanes_by_owner(candidates)
        if sweep.slot_cap is not None and sweep.running > sweep.slot_cap:
            return Preemption(to=None, reason=f"the sweep has {sweep.running} slots, its cap is {sweep.slot_cap}")
        if sweep.max_slots is not None and lanes[sweep.owner] > sweep.max_slots:
            return Preemption(
                to=None,
                reason=f"{sweep.owner} has {lanes[sweep.owner]} slots, the limit of this user is {sweep.max_slots}",
            )
        for other in self._ranked(candidates, without=sweep):
            if other.priority < sweep.priority:
                break
            if other.sweep_id != sweep_id and (reason := self._reason(sweep, other, lanes)):
                return Preemption(to=other.sweep_id, reason=reason)
        return None

    def _reason(self, sweep: Candidate, other: Candidate, lanes: Counter[str]) -> str | None:
        """Return why `sweep` gives a lane to `other`; None if it does not. lanes: by owner."""
        if other.priority > sweep.priority:
            return f"{other.sweep_id} has priority {other.priority}, this sweep {sweep.priority}"
        is_new = other.running == 0 and not self._sweeps[other.priority, other.owner].has_used(other.sweep_id)
        if other.owner != sweep.owner:
            over = self._owner_time(sweep, lanes[sweep.owner] - 1) - self._owner_time(other, lanes[other.owner])
            margin = 0.0 if is_new and lanes[other.owner] == 0 else self._quantum / min(sweep.weight, other.weight)
            return f"{other.owner} waits and has used less" if over > margin else None
        over = self._sweep_time(sweep, sweep.running - 1) - self._sweep_time(other, other.running)
        if over > (0.0 if is_new else self._own_quantum):
            return f"{other.sweep_id} of the same user waits and has used less"
        return None

    def _ranked(self, candidates: Iterable[Candidate], without: Candidate | None = None) -> Sequence[Candidate]:
        """Return the candidates that may take a lane, in order; without: a sweep that gives one lane up."""
        lanes = _lanes_by_owner(candidates)
        if without is not None:
            lanes[without.owner] -= 1

        def order(sweep: Candidate) -> tuple[int, float, str, float, int, str]:
            own = sweep.running - (without is not None and sweep.sweep_id == without.sweep_id)
            return (
                -sweep.priority,
                self._owner_time(sweep, lanes[sweep.owner]),
                sweep.owner,
                self._sweep_time(sweep, own),
                sweep.queued_at,
                sweep.sweep_id,
            )

        return sorted((sweep for sweep in candidates if _may_grow(sweep, lanes)), key=order)

    def _owner_time(self, sweep: Candidate, lanes: int) -> float:
        return self._owners[sweep.priority].time(sweep.owner) + self._quantum * lanes / sweep.weight

    def _sweep_time(self, sweep: Candidate, lanes: int) -> float:
        return self._sweeps[sweep.priority, sweep.owner].time(sweep.sweep_id) + self._quantum * lanes

    def _observe(self, candidates: Collection[Candidate]) -> None:
        """Bring the virtual times up to date with who is present and who waits."""
        lanes = _lanes_by_owner(candidates)
        self._seen = {sweep.sweep_id: sweep for sweep in candidates}
        present: defaultdict[tuple[_Level, str], list[str]] = defaultdict(list)
        waiting: defaultdict[tuple[_Level, str], list[str]] = defaultdict(list)
        for sweep in candidates:
            present[sweep.priority, sweep.owner].append(sweep.sweep_id)
            if _may_grow(sweep, lanes):
                waiting[sweep.priority, sweep.owner].append(sweep.sweep_id)
        levels = {level for level, _ in present}
        for gone in self._owners.keys() - levels:  # nobody is left of that priority, so that nobody is owed anything
            del self._owners[gone]
        for gone_key in self._sweeps.keys() - present.keys():
            del self._sweeps[gone_key]
        for level in levels:
            self._owners[level].observe(
                [owner for priority, owner in present if priority == level],
                [owner for priority, owner in waiting if priority == level],
            )
        for key, sweeps in present.items():
            self._sweeps[key].observe(sweeps, waiting[key])


def _lanes_by_owner(candidates: Iterable[Candidate]) -> Counter[str]:
    lanes: Counter[str] = Counter()
    for sweep in candidates:
        lanes[sweep.owner] += sweep.running
    return lanes


def _may_grow(sweep: Candidate, lanes: Counter[str]) -> bool:
    """Return whether the sweep wants and may have another lane."""
    if sweep.wanted < 1 or (sweep.slot_cap is not None and sweep.running >= sweep.slot_cap):
        return False
    return sweep.max_slots is None or lanes[sweep.owner] < sweep.max_slots
