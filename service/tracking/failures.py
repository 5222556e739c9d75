"""The page about a trial that failed: reason, recipe and traceback."""

from __future__ import annotations

from service.ledgers import Sweep, Trial

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
        *(f"| {name} | {value} |" for name, value in trial.recipe.items()),
    ]
    if trial.trace:
        lines += ["", "## Traceback", "", "```", trial.trace.rstrip().replace("```", "` ` `"), "```"]
    return "\n".join([*lines, ""])
