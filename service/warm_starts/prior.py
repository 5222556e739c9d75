"""The prior of a sweep: the points of earlier sweeps that run first, and the results that the searcher is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces import Point
from service.ledgers import Json, TrialState

__all__ = ["PastTrial", "Prior"]


@dataclass(frozen=True, kw_only=True)
class PastTrial:
    """A trial of an earlier sweep. value: at its best epoch. last: at its last epoch, whose number is `epochs`."""

    point: Point
    value: float
    last: float
    epochs: int
    state: TrialState
    keeps_limits: bool


@dataclass(frozen=True, kw_only=True)
class Prior:
    """The knowledge of a searcher before its first trial. first: points to propose right after the default recipe."""

    first: tuple[Point, ...] = ()
    results: tuple[PastTrial, ...] = ()

    @classmethod
    def from_json(cls, warm_start: Mapping[str, Any] | None) -> Prior:
        """Return the prior that a sweep's row keeps; empty if the sweep has no earlier sweeps."""
        prior = (warm_start or {}).get("prior")
        if prior is None:
            return cls()
        results = [
            PastTrial(**{**past, "point": _point(past["point"]), "state": TrialState(past["state"])})
            for past in prior["results"]
        ]
        return cls(first=tuple(map(_point, prior["first"])), results=tuple(results))

    def as_json(self) -> Json:
        """Return the prior as plain data."""
        results = [{**vars(past), "state": past.state.value} for past in self.results]
        return {"first": [dict(point) for point in self.first], "results": results}


def _point(values: Mapping[str, Any]) -> Point:
    """Return a point from JSON, which has lists in the place of tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
