"""Search over an explicit list of recipes."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces import BACKBONES, Recipe
from service.ledgers import TrialState
from service.searchers.base import Proposal, Searcher

__all__ = ["PointsSearcher"]


class PointsSearcher(Searcher):
    """The recipes of an explicit list, in order.

    longest_first: in the order of how much they train (Graham, "Bounds on multiprocessing timing anomalies", SIAM J.
    Appl. Math. 1969, section on lists by decreasing time), so that no long trial is left alone at the end. Those that
    train as much and see the same activations follow each other, so that a small cache holds them for all.
    """

    def __init__(self, recipes: Sequence[Recipe], *, longest_first: bool = False) -> None:
        self._recipes = tuple(recipes)
        self._longest_first = longest_first

    def ordered(self, numbers: Sequence[int]) -> Sequence[int]:
        """Return the order of the list, or that of the longest first."""
        if not self._longest_first:
            return numbers
        recipes, first = self._recipes, dict[object, int]()
        for number in numbers:
            first.setdefault(recipes[number].shared_activations, number)
        return sorted(numbers, key=lambda at: (-_thawed_work(recipes[at]), first[recipes[at].shared_activations]))

    def foresee(self, number: int) -> Recipe | None:
        """Return the recipe of this number in the list."""
        return self._recipes[number] if number < len(self._recipes) else None

    def propose(self, number: int) -> Proposal | None:
        """Return the recipe of this number in the list."""
        if number >= len(self._recipes):
            return None
        recipe = self._recipes[number]
        return Proposal(point=dict(recipe.flat()), recipe=recipe)

    def tell(self, number: int, *, values: Sequence[float], state: TrialState, keeps_limits: bool = True) -> None:
        """Do nothing: a fixed list learns nothing."""


def _thawed_work(recipe: Recipe) -> float:
    """Return the multiply-adds an image of the trained stages, all stages taken as equal; 0 for an own backbone."""
    info = BACKBONES.get(recipe.backbone)
    return 0.0 if info is None else info.multiply_adds * recipe.passes * (1 - recipe.freeze_depth / info.stages)
