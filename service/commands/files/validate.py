"""`meltpoint validate`."""

from __future__ import annotations

import shlex

from search_spaces import SweepSpec, grid_size, load_spec
from service.commands.files.algorithms import describe_algorithm
from service.formats import Format, counted
from service.terminals import Assign, Output, Spec, print_data, stdout


def validate(spec: Spec, assign: Assign = None, output: Output = Format.TABLE) -> None:
    """Check a sweep file and report every error at once."""
    loaded = load_spec(spec, assign or ())
    if output is not Format.TABLE:
        facts = {"file": str(spec), "name": loaded.name, "valid": True, "trials": loaded.budget.trials}
        print_data(facts | {"recipes": _recipes(loaded)}, output)
        return
    changed = "".join(f" --set {shlex.quote(text)}" for text in assign or ())
    stdout().print(f"{spec}{changed} is valid: {_summary(loaded)}", soft_wrap=True, markup=False)


def _summary(spec: SweepSpec) -> str:
    size = _recipes(spec)
    number = "" if size is None else f"of {counted(size, 'recipe')}"
    chosen = describe_algorithm(spec, number, trials=spec.budget.trials)
    epochs = counted(spec.budget.epochs, "epoch")
    return f"{spec.name}, {counted(spec.budget.trials, 'trial')}{chosen}, up to {epochs}"


def _recipes(spec: SweepSpec) -> int | None:
    """Return the number of recipes to choose from; None if a continuous range makes it infinite."""
    if spec.search.algorithm == "points":
        return len(spec.points)
    return grid_size(spec.space) if spec.search.algorithm == "grid" else spec.space.size()
