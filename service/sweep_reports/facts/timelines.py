"""The timeline of workers: which trial was trained when, and how long workers had nothing to do."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from service.ledgers import Trial, TrialPhase
from service.sweep_reports.facts.base import Part, Section, decimals, duration
from service.sweep_reports.facts.rows import SweepRows

__all__ = ["Span", "Timeline", "WorkClock", "make_clock", "read_timeline"]

_LONGEST_PAUSE_MS: Final = 60_000
"""Gaps between attempts up to this length belong to the work: deciding, starting, waiting for a machine."""


class WorkClock:
    """Turns times into working seconds.

    Args:
        start: the sweep's start in milliseconds since 1970.
        spans: start and end of each attempt in milliseconds.
    """

    def __init__(self, start: int, spans: Iterable[tuple[int, int]]) -> None:
        self.start = start
        self.pauses: list[tuple[float, float]] = []
        """Working second and length in seconds of each pause that was left out."""
        self._ends: list[int] = []
        self._removed: list[int] = []
        busy_until, removed = start, 0
        for begin, end in sorted(spans):
            gap = begin - busy_until
            if gap > _LONGEST_PAUSE_MS:
                self.pauses.append(((busy_until - start - removed) / 1000, gap / 1000))
                removed += gap
                self._ends.append(begin)
                self._removed.append(removed)
            busy_until = max(busy_until, end)

    def seconds(self, at: int) -> float:
        """Return the working seconds from the start until a time."""
        pause = bisect_right(self._ends, at)
        removed = self._removed[pause - 1] if pause else 0
        return max(0.0, (at - self.start - removed) / 1000)


class Span(Part):
    """An attempt at a trial."""

    trial_id: str
    attempt: int
    phase: str
    """`search` or `confirm`."""
    state: str
    """The trial's state after its last attempt, `retrying` after an earlier one."""
    worker: int
    """Number of the row: the ledger does not name workers, so an attempt goes to the first row that is free."""
    start: float
    """Working seconds since the sweep's start."""
    end: float


class Timeline(Section):
    """The attempts over time."""

    workers: int = 0
    """The most attempts at the same time."""
    seconds: float = 0
    """Working seconds until the last attempt ended."""
    busy_share: float | None = None
    """Part of the workers' time in which they had an attempt, loading and saving included."""
    first_start: float | None = None
    """Working seconds before the first attempt began."""
    pauses: tuple[tuple[float, float], ...] = ()
    """Working second and length in seconds of each pause of the whole sweep that is left out."""
    spans: tuple[Span, ...] = ()


def make_clock(rows: SweepRows) -> WorkClock:
    """Return the clock of the sweep's working time."""
    spans = [(start, _end(rows, trial_id, end, start)) for trial_id, own in rows.attempts.items() for start, end in own]
    begin = rows.sweep.started_at or min((start for start, _ in spans), default=rows.sweep.created_at)
    return WorkClock(begin, spans)


def _end(rows: SweepRows, trial_id: str, end: int | None, start: int) -> int:
    """Return the end of an attempt; of one that still runs, the time of its last epoch."""
    if end is not None:
        return end
    epochs = rows.epochs.get(trial_id, ())
    return max(start, epochs[-1].recorded_at) if epochs else start


def read_timeline(rows: SweepRows, clock: WorkClock) -> Timeline:
    """Return the attempts of the search and of the confirmation."""
    trials = {trial.id: trial for trial in (*rows.trials, *rows.retrainings)}
    attempts = [
        (clock.seconds(start), clock.seconds(_end(rows, trial_id, end, start)), trials[trial_id], number)
        for trial_id, own in rows.attempts.items()
        if trial_id in trials
        for number, (start, end) in enumerate(own, start=1)
    ]
    attempts.sort(key=lambda each: (each[0], each[2].number))
    if not attempts:
        return Timeline(sentence="No trial has begun.", is_shown=False)
    spans = _assign(attempts, rows)
    workers = 1 + max(span.worker for span in spans)
    begin, end = min(span.start for span in spans), max(span.end for span in spans)
    busy = sum(span.end - span.start for span in spans)
    share = busy / (workers * (end - begin)) if end > begin else None
    return Timeline(
        sentence=_sentence(workers, share, begin, end - begin, clock),
        workers=workers,
        seconds=decimals(end, 3),
        busy_share=None if share is None else decimals(min(share, 1.0)),
        first_start=decimals(begin, 3),
        pauses=[(decimals(at, 3), decimals(length, 3)) for at, length in clock.pauses],
        spans=spans,
    )


def _assign(attempts: list[tuple[float, float, Trial, int]], rows: SweepRows) -> list[Span]:
    """Give each attempt the first row that is free when it begins."""
    spans: list[Span] = []
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    for start, end, trial, number in attempts:
        while busy and busy[0][0] <= start + 1e-3:
            heapq.heappush(free, heapq.heappop(busy)[1])
        worker = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (end, worker))
        is_last = number == len(rows.attempts[trial.id])
        spans.append(
            Span(
                trial_id=trial.id,
                attempt=number,
                phase="confirm" if trial.phase is TrialPhase.CONFIRM else "search",
                state=trial.state.value if is_last else "retrying",
                worker=worker,
                start=decimals(start, 3),
                end=decimals(end, 3),
            )
        )
    return spans


def _sentence(workers: int, share: float | None, begin: float, seconds: float, clock: WorkClock) -> str:
    text = "One trial ran at a time" if workers == 1 else f"Up to {workers} trials ran at once"
    if share is not None:
        had = "its worker had" if workers == 1 else "the workers had"
        text += f"; in {duration(seconds)}, {had} trials for {share:.0%} of the time, loading and saving included"
    text += f"; the first began after {duration(begin)}" if begin >= 1 else ""
    if clock.pauses:
        times = "a pause" if len(clock.pauses) == 1 else f"{len(clock.pauses)} pauses"
        text += f"; {times} of {duration(sum(length for _, length in clock.pauses))} in all is left out"
    return f"{text}."
