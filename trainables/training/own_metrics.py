"""Metrics of the user's own, added to an evaluation under their names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from numbers import Real

from search_spaces import METRICS, Metric
from trainables.own_code import call_own, load_own, wrong_result
from trainables.training.evaluation import Evaluation

__all__ = ["add_own_metrics", "own_metric_names"]


def own_metric_names(name: str) -> tuple[str, ...]:
    """Return the own code in a published name such as `val/my_metrics:cost`; nothing for a known metric."""
    return () if name in METRICS else (Metric(name).measure,)


def add_own_metrics(evaluation: Evaluation, names: Iterable[str]) -> Evaluation:
    """Return `evaluation` with the metrics `names` added.

    Each function is called with copies of probabilities, float64 (N, C), and labels, int64 (N,).

    Raises:
        OwnCodeError: a function is missing, raises, or does not return a number.
    """
    added = {name: _measure(name, evaluation) for name in names}
    return replace(evaluation, metrics=evaluation.metrics | added) if added else evaluation


def _measure(name: str, evaluation: Evaluation) -> float:
    function = load_own(name, "metric")
    value = call_own(name, "metric", function, evaluation.probabilities.copy(), evaluation.labels.copy())
    if isinstance(value, bool) or not isinstance(value, Real):
        raise wrong_result(name, "metric", "a number", f"a {type(value).__name__}")
    return float(value)
