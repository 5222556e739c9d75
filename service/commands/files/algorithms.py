"""How a sweep chooses its recipes, in words that several commands use."""

from __future__ import annotations

from search_spaces import SweepSpec
from service.formats import counted

__all__ = ["describe_algorithm"]


def describe_algorithm(spec: SweepSpec, size: str, *, trials: int) -> str:
    """Return how a sweep chooses its recipes, to stand behind the number of its trials.

    Such as ` by tpe`, ` of an explicit list` or `, 2 points first, then by random`. Points that give the same recipe
    count once. size: of the space, such as `of 24 recipes`; empty to leave it out. trials: the number that will run.
    """
    if spec.search.algorithm == "points":
        return " of an explicit list"
    chosen = f"by {spec.search.algorithm}{size and f' {size}'}"
    given = len(set(spec.first_points))
    if not given:
        return f" {chosen}"
    if trials <= given:
        return f", {'all of' if trials == given else f'the first {trials} of'} its {counted(given, 'point')}"
    return f", {counted(given, 'point')} first, then {chosen}"
