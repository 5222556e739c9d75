"""Affinity: trials whose frozen part a node has computed already go to that node, where that costs no waiting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from search_spaces import Recipe

__all__ = ["LOOKAHEAD", "Affinity"]

LOOKAHEAD = 64
"""Trials that are still to be drawn, among which a node may choose: the longest ones stay near the front."""

_Prefix = tuple[object, ...]


class Affinity:
    """Remembers which frozen parts each node has computed, and chooses among the trials that could start there.

    A node prefers a trial whose frozen part it has, then one whose frozen part no node has; of equal ones, the first.
    While there is one node alone, the first is chosen always.
    """

    def __init__(self) -> None:
        self._prefixes: defaultdict[str, set[_Prefix]] = defaultdict(set)
        self.spared = 0
        """Trials that found their frozen part on their node since they came before their turn."""

    @property
    def is_of_use(self) -> bool:
        """True if there are several nodes to choose from."""
        return len(self._prefixes) > 1

    def add_node(self, node: str) -> None:
        """Take note of a node that trains."""
        self._prefixes[node]

    def choose(self, node: str, recipes: Sequence[Recipe | None]) -> int:
        """Return the index of the recipe that the node is to train; None stands for a recipe that is not known."""
        there = self._prefixes[node]
        elsewhere = set[_Prefix]().union(*(known for name, known in self._prefixes.items() if name != node))
        fresh = None
        for index, recipe in enumerate(recipes):
            prefix = _prefix(recipe)
            if prefix is None:
                continue
            if prefix in there:
                self.spared += int(index > 0 and _prefix(recipes[0]) not in there)
                return index
            if fresh is None and prefix not in elsewhere:
                fresh = index
        return fresh or 0

    def begin(self, node: str, recipe: Recipe) -> None:
        """Take note that a trial of this recipe begins on a node."""
        prefix = _prefix(recipe)
        if prefix is not None:
            self._prefixes[node].add(prefix)

    def describe(self) -> str | None:
        """Return what the choice saved, in a sentence; None if it saved nothing."""
        if not self.spared:
            return None
        trials = "1 trial" if self.spared == 1 else f"{self.spared} trials"
        return f"{trials} began before their turn on a node that had computed their frozen part already"


def _prefix(recipe: Recipe | None) -> _Prefix | None:
    """Return what decides a recipe's frozen part; None if nothing is frozen."""
    return recipe.shared_activations if recipe is not None and recipe.freeze_depth else None
