"""The page about a trial that failed: reason, recipe and traceback."""

from __future__ import annotations

from search_spaces.backbones import written_freeze_depth
from service.formats import counted
from service.ledgers import Json, Sweep, Trial

__all__ = ["describe_failure"]


def describe_failure(sweep: Sweep, trial: Trial) -> str:
    """Return why a trial failed, in Markdown; it is logged as `error.md`."""
    lines = [
        f"# {trial.id} failed",
        "",
        f"{trial.error or 'no reason is known'}",
        "",
        f"Attempt {trial.attempt} of sweep {sweep.id} ({sweep.name}), after {trial.epochs} finished epochs.",
        "",
        "| hyperparameter | value |",
        "| --- | --- |",
        *(f"| {name} | {_written(sweep, trial.recipe, name)} |" for name in trial.recipe),
    ]
    if trial.trace:
        lines += ["", "## Traceback", "", "```", trial.trace.rstrip().replace("```", "` ` `"), "```"]
    return "\n".join([*lines, ""])


def _written(sweep: Sweep, recipe: Json, name: str) -> str:
    """Return a value as text, the freeze depth as users write it, with the number of frozen stages."""
    if name != "freeze_depth":
        return str(recipe[name])
    backbone = recipe.get("backbone")
    depth = written_freeze_depth(recipe[name], backbone=str(backbone), own_stages=sweep.own_stages(backbone))
    return f"{depth} ({counted(recipe[name], 'stage')} frozen)"
