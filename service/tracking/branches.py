"""Branches of a sweep's space, as its trials show them: which hyperparameters do all trials have, and which only some?

MLflow's parallel-coordinates chart leaves out every run that lacks one of its params. So one chart has only params
that every trial has, and a branch, such as the trials with adamw, gets a chart with its own params besides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Branch", "Branches"]

_MOST_BRANCHES = 6


@dataclass(frozen=True, kw_only=True)
class Branch:
    """Trials that have a value of a choice, and hyperparameters that only they have.

    names: the drawn hyperparameters that all of these trials have, without the choice.
    """

    choice: str
    value: str
    names: tuple[str, ...]


@dataclass
class Branches:
    """Collects the recipes of a sweep's trials.

    drawn: names that may differ between the trials. log_scaled: those of them on a logarithmic axis, which has no place
    for 0: a trial with weight decay 0 counts as one without weight decay.
    """

    drawn: Sequence[str]
    log_scaled: Collection[str] = ()
    _shapes: list[dict[str, Any]] = field(default_factory=list)

    def add(self, *recipes: Mapping[str, Any]) -> bool:
        """Add trials' recipes; return whether they change what trials have in common, or the branches."""
        is_new = False
        for recipe in recipes:
            shape = {name: _kind(recipe[name]) for name in self.drawn if self._has(recipe, name)}
            if shape not in self._shapes:
                self._shapes.append(shape)
                is_new = True
        return is_new

    def _has(self, recipe: Mapping[str, Any], name: str) -> bool:
        value = recipe.get(name)
        has_place = name not in self.log_scaled or not isinstance(value, int | float) or value > 0
        return name in recipe and has_place

    @property
    def common(self) -> list[str]:
        """The drawn hyperparameters that every trial has; without trials, all of them."""
        return [name for name in self.drawn if all(name in shape for shape in self._shapes)]

    @property
    def numeric(self) -> list[str]:
        """Those in common whose values are numbers in every trial; without trials, all but names."""
        return [name for name in self.common if all(shape[name] is None for shape in self._shapes)]

    @property
    def branches(self) -> list[Branch]:
        """The branches that have hyperparameters of their own."""
        common, seen = self.common, set()
        branches = []
        for choice in common:
            for value in _values(shape[choice] for shape in self._shapes):
                inside = [shape for shape in self._shapes if shape[choice] == value]
                names = [name for name in self.drawn if all(name in shape for shape in inside)]
                own = frozenset(names) - frozenset(common)
                if own and own not in seen:
                    seen.add(own)
                    kept = tuple(name for name in names if name != choice)
                    branches.append(Branch(choice=choice, value=value, names=kept))
        return branches[:_MOST_BRANCHES]


def _kind(value: Any) -> str | None:
    """Return a name or another text as it is, None for a number."""
    return None if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _values(kinds: Iterable[str | None]) -> list[str]:
    return [kind for kind in dict.fromkeys(kinds) if kind is not None]
