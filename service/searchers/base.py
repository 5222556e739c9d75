"""The contract of searchers, and what those over a space have in common."""

from __future__ import annotations

import hashlib
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from search_spaces import Point, Recipe, Space, sample
from service.ledgers import TrialState

__all__ = ["DRAWS_BEFORE_GIVING_UP", "Proposal", "Searcher", "SpaceSearcher", "subseed"]

DRAWS_BEFORE_GIVING_UP = 200
"""Draws of recipes that were proposed before, after which a searcher takes the space as exhausted."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A point of the space, as the searcher drew it, and the recipe that it resolves to.

    seed: of the training; None for the sweep's. retrains: id of the search's trial whose recipe this is, if any.
    """

    point: Mapping[str, object]
    recipe: Recipe
    seed: int | None = None
    retrains: str | None = None


class Searcher(ABC):
    """Proposes recipes one at a time.

    Contract: `propose(number)` is called once for each trial number, in the order of `ordered`, and None means that
    the search is exhausted. `tell` is called once for each proposed number, when its trial has ended. One thread calls
    both. The same calls in the same order give the same proposals. A searcher of spaces proposes no recipe twice.
    """

    exhausted: str | None = None
    """The reason for which there were fewer proposals than trials; None if a user need not know."""

    def ordered(self, numbers: Sequence[int]) -> Sequence[int]:
        """Return the order in which to ask for these trials; numbers: from the lowest on."""
        return numbers

    def foresee(self, number: int) -> Recipe | None:  # noqa: ARG002
        """Return the recipe of a trial that is still to be proposed; None if it depends on what comes before.

        The trials of a searcher that foresees them may be proposed in any order.
        """
        return None

    @abstractmethod
    def propose(self, number: int) -> Proposal | None:
        """Return a proposal for the trial of this number; None if the search is exhausted."""

    @abstractmethod
    def tell(self, number: int, *, values: Sequence[float], state: TrialState, keeps_limits: bool = True) -> None:
        """Take note of how a trial ended.

        values: the metric after each epoch, possibly none. keeps_limits: whether it keeps the limits of all metrics.
        """


class SpaceSearcher(Searcher):
    """The points `first`, the default recipe, the points `then`, and each draw that was not proposed before."""

    used_up: str | None = f"no new recipe among {DRAWS_BEFORE_GIVING_UP} draws: the space seems exhausted"
    """The reason that is given when there are no further draws."""

    def __init__(self, space: Space, *, seed: int, first: Sequence[Point] = (), then: Sequence[Point] = ()) -> None:
        self._space = space
        self._first = deque([*first, space.default(), *then])
        self._seed = seed
        self._proposed: set[str] = set()

    def propose(self, number: int) -> Proposal | None:
        """Return a recipe that was not proposed before."""
        for point in chain(self._leave_first(), self._draws(number)):
            recipe = self._space.recipe(point)
            if recipe.identity not in self._proposed:
                self._proposed.add(recipe.identity)
                self._accepted(number, point)
                return Proposal(point=point, recipe=recipe)
        self.exhausted = self.used_up
        return None

    def _leave_first(self) -> Iterator[Point]:
        """Yield the points that come before all draws, each once."""
        while self._first:
            yield self._first.popleft()

    def _draws(self, number: int) -> Iterator[Point]:
        """Return points to try in turn, at most `DRAWS_BEFORE_GIVING_UP`."""
        rng = random.Random(subseed(self._seed, number))
        return (sample(self._space, rng) for _ in range(DRAWS_BEFORE_GIVING_UP))

    def _accepted(self, number: int, point: Point) -> None:
        """Take note of the point that becomes trial `number`."""


def subseed(seed: int, number: int) -> int:
    """Return the seed of a trial's draws, from the seed of the search and the trial's number."""
    return int.from_bytes(hashlib.sha256(f"search/{seed}/{number}".encode()).digest()[:8], "big")
