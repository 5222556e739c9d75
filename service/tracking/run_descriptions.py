"""Texts of runs in MLflow for people: the description of a sweep's run, and the page about a failed trial."""

from __future__ import annotations

from search_spaces.backbones import written_freeze_depth
from service.confirmations import Confirmation, explain_decision
from service.formats import counted
from service.ledgers import Json, Sweep, Trial
from service.reports import Leaderboard
from service.sweep_reports import summarize_search
from service.tracking.views import view_address

__all__ = ["describe_failure", "describe_run", "has_report", "with_report"]

_FILES = "[leaderboard and files]"
_REPORT = "[report]"


def describe_run(sweep: Sweep, board: Leaderboard, confirmation: Confirmation | None) -> str:
    """Return the description, in Markdown, of an ended sweep's run.

    Its first two lines are the answer and the links, since MLflow's page shows little more of it at once.

    confirmation: with its decision; None if there is none.
    """
    decision = confirmation.decision if confirmation is not None else None
    answer, *grounds = explain_decision(decision) if decision is not None else [summarize_search(sweep, board)]
    paragraphs = [
        f"**{answer[:1].upper()}{answer[1:]}**",
        ", ".join(_links(sweep)),
        "\n".join(f"- {line}" for line in grounds),
        board.as_markdown(),
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def has_report(description: str) -> bool:
    """Return whether a description has a link to the report."""
    return f"{_REPORT}(" in description


def with_report(description: str, sweep: Sweep, file: str) -> str:
    """Return the description with a link to the sweep's report, which MLflow has as `file`."""
    if has_report(description):
        return description
    return description.replace(_FILES, f"{_REPORT}({_artifacts(sweep)}/{file}), {_FILES}", 1)


def _links(sweep: Sweep) -> tuple[str, ...]:
    assert sweep.mlflow is not None, sweep
    experiment = str(sweep.mlflow["experiment_id"])
    charts = view_address("", experiment, sweep.id).removeprefix("/")
    table = view_address("", experiment, sweep.id, mode="TABLE").removeprefix("/")
    return f"[view]({charts})", f"[table of all trials]({table})", f"{_FILES}({_artifacts(sweep)})"


def _artifacts(sweep: Sweep) -> str:
    assert sweep.mlflow is not None, sweep
    return f"#/experiments/{sweep.mlflow['experiment_id']}/runs/{sweep.mlflow['run_id']}/artifacts"


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
