"""`meltpoint validate`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from search_spaces import SweepSpec, grid_size, load_spec
from service.formats import Format, counted
from service.terminals import print_data, stdout


def validate(path: Path, form: Format, *, assign: Sequence[str] = ()) -> None:
    """Say that a sweep file, with these values assigned, is valid, or raise SpecError with every problem."""
    spec = load_spec(path, assign)
    if form is not Format.TABLE:
        told = {"file": str(path), "name": spec.name, "valid": True, "trials": spec.budget.trials}
        print_data(told | {"recipes": _recipes(spec)}, form)
        return
    changed = "".join(f" --set {shlex.quote(one)}" for one in assign)
    stdout().print(f"{path}{changed} is valid: {_summary(spec)}", soft_wrap=True, markup=False)


def _summary(spec: SweepSpec) -> str:
    size = _recipes(spec)
    chosen = "of an explicit list" if spec.search.algorithm == "points" else f"by {spec.search.algorithm}"
    of = "" if size is None or spec.points else f" of {counted(size, 'recipe')}"
    epochs = counted(spec.budget.epochs, "epoch")
    return f"{spec.name}, {counted(spec.budget.trials, 'trial')} {chosen}{of}, up to {epochs}"


def _recipes(spec: SweepSpec) -> int | None:
    """How many there are to choose from; None where a continuous range makes them infinite."""
    if spec.search.algorithm == "points":
        return len(spec.points)
    return grid_size(spec.space) if spec.search.algorithm == "grid" else spec.space.size()
