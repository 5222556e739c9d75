"""Trade-offs: the metric against what a trial costs, with the trials that no other beats in both."""

from __future__ import annotations

import math

from search_spaces import Goal
from service.formats import counted
from service.ledgers import Trial, TrialState
from service.objectives import Objective, pareto_set
from service.sweep_reports.facts.base import Part, Section, decimals, difference, duration, joined, named
from service.sweep_reports.facts.rows import SweepRows

__all__ = ["Tradeoff", "TradeoffPoint", "Tradeoffs", "read_tradeoffs"]

TRAINING_SECONDS = "training seconds"
_MOST = 3


class TradeoffPoint(Part):
    """A trial by its cost."""

    trial_id: str
    cost: float
    value: float
    is_front: bool
    """True if no trial is better in one of both and no worse in the other."""


class Tradeoff(Part):
    """The metric against one cost, or against a further metric of the sweep."""

    cost: str
    goal: str
    """`minimize` if less is better, as for costs, else `maximize`."""
    points: list[TradeoffPoint]
    sentence: str


class Tradeoffs(Section):
    """The metric against what trials cost."""

    tradeoffs: tuple[Tradeoff, ...] = ()


def read_tradeoffs(rows: SweepRows) -> Tradeoffs:
    """Return the metric against training seconds, and against each further metric or cost of the sweep."""
    columns = rows.board.objectives
    against = [(entry.name, entry.goal) for entry in columns.further][: _MOST - 1]
    against.append((TRAINING_SECONDS, Goal.MINIMIZE))
    tradeoffs = [tradeoff for name, goal in against if (tradeoff := _tradeoff(rows, name, goal)) is not None]
    if not tradeoffs:
        return Tradeoffs(sentence="Fewer than two trials have a value and a cost.", is_shown=False)
    return Tradeoffs(sentence=tradeoffs[0].sentence, tradeoffs=tradeoffs)


def _tradeoff(rows: SweepRows, name: str, goal: Goal) -> Tradeoff | None:
    costs = {trial.id: cost for trial in rows.board.ranked if (cost := _cost(rows, trial, name)) is not None}
    if len(costs) < 2 or len(set(costs.values())) < 2:
        return None
    values = {trial.id: rows.value(trial) for trial in rows.board.ranked if trial.id in costs}
    objectives = [Objective(name=rows.sweep.metric, goal=rows.goal), Objective(name=name, goal=goal)]
    front = pareto_set({key: (values[key], costs[key]) for key in values}, objectives)
    points = [
        TradeoffPoint(trial_id=key, cost=decimals(costs[key]), value=values[key], is_front=key in front)
        for key in values
    ]
    return Tradeoff(cost=name, goal=goal.value, points=points, sentence=_sentence(rows, name, goal, points))


def _cost(rows: SweepRows, trial: Trial, name: str) -> float | None:
    if name == TRAINING_SECONDS:
        return rows.board.epoch_seconds.get(trial.id)
    value = rows.board.objectives.values(trial).get(name)
    return value if value is not None and math.isfinite(value) else None


def _sentence(rows: SweepRows, name: str, goal: Goal, points: list[TradeoffPoint]) -> str:
    front = sorted((p for p in points if p.is_front), key=lambda p: rows.goal.sort_key(p.value))
    best, cheapest = front[0], front[-1]
    text = f"{len(front)} of {len(points)} trials {'is' if len(front) == 1 else 'are'} on the front"
    if best.value == cheapest.value:
        names = joined([named(point.trial_id) for point in front])
        verb = "is best in both" if len(front) == 1 else "are equal, and best in both"
        return f"{text}: {names}, with {_written(name, best.cost)}, {verb}."
    word = "cheapest" if goal is Goal.MINIMIZE else "other end"
    return (
        f"{text}. Its {word}, {_described(rows, cheapest)}, has {_written(name, cheapest.cost)} and is "
        f"{difference(best.value, cheapest.value)} worse than the best, {_described(rows, best)}, which has "
        f"{_written(name, best.cost)}."
    )


def _described(rows: SweepRows, point: TradeoffPoint) -> str:
    """Return a trial in words; one that was pruned is cheap because it trained fewer epochs."""
    trial = next(trial for trial in rows.trials if trial.id == point.trial_id)
    is_pruned = trial.state is TrialState.PRUNED
    return f"{named(trial.id)} (pruned after {counted(trial.epochs, 'epoch')})" if is_pruned else named(trial.id)


def _written(name: str, cost: float) -> str:
    return f"{duration(cost)} of training" if name == TRAINING_SECONDS else f"{name} {cost:.4g}"
