"""The way to more trials of a sweep that has run all of its own."""

from __future__ import annotations

import json
import random
import shlex

from search_spaces import Recipe, SweepSpec, count_recipes, sample
from service.ledgers.records.sweeps import Sweep

__all__ = ["way_to_more_trials"]

_DRAWS = 64


def way_to_more_trials(sweep: Sweep, spec: SweepSpec, trials: int, *, at_least: int = 1) -> str:
    """Return what to do for more trials, with a command that works: more budget, more points, or a wider space.

    trials: the number that the sweep has. at_least: the fewest that it should then have.
    """
    known = count_recipes(spec)
    if known is None or trials < known:
        wanted = max(2 * trials, at_least, spec.budget.trials)
        wanted = wanted if known is None else min(wanted, known)
        return f"to resume it, raise its budget: meltpoint resume {sweep.id} --set budget.trials={max(1, wanted)}"
    point = _new_point(spec) if spec.points else None
    if point is not None:
        written = json.dumps(point).replace('"', "")
        changes = [f"search.points[+]={written}"]
        if spec.budget.trials <= trials and "trials" in (spec.document.get("budget") or {}):
            changes.append(f"budget.trials={trials + 1}")
        options = "".join(f" --set {shlex.quote(change)}" for change in changes)
        return f"to go on, add recipes to its list, such as: meltpoint resume {sweep.id}{options}"
    return (
        f"it has tried every recipe of its space: widen the space in {sweep.spec_file}, and start another sweep: "
        f"{sweep.start_command}"
    )


def _new_point(spec: SweepSpec) -> dict[str, object] | None:
    """Return a point that the list of `spec` lacks; None if the list has every recipe of its space."""
    if not spec.space.entries:
        rates = {recipe.optimizer.lr for recipe in spec.points}
        new = next(rate for power in range(len(rates) + 1) if (rate := 0.002 / 2**power) not in rates)
        return {"optimizer.lr": new}
    for draw in range(_DRAWS):
        point = sample(spec.space, random.Random(draw))
        names = {entry.key: entry.name for entry in spec.space.entries if entry.domain.size != 1}
        drawn = {str(names[key]): _short(value) for key, value in point.items() if names.get(key) is not None}
        recipe = Recipe.from_flat({**spec.space.recipe(point).flat(), **drawn})
        if recipe not in spec.points and spec.space.contains(recipe):
            return {name: list(value) if isinstance(value, tuple) else value for name, value in drawn.items()}
    return None


def _short(value: object) -> object:
    return float(f"{value:.2g}") if isinstance(value, float) else value
