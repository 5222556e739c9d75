"""Contents of the run of a whole sweep: progress against trials, and its files."""

from __future__ import annotations

import csv
import io
import json
import math
import platform
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from mlflow.entities import Metric, RunTag

from search_spaces import Goal
from service.ledgers import Json, Sweep, Trial, TrialPhase, TrialState
from service.reports import Leaderboard
from service.tracking.run_descriptions import describe_failure
from service.tracking.run_names import trial_number

__all__ = ["failure_files", "progress_metrics", "sweep_files", "table_tag"]

TABLE_FILE = "leaderboard/table.json"
"""Artifact with the leaderboard in the format of `mlflow.log_table`, which MLflow's UI shows as a table.

`mlflow.log_table` would add its rows to the table that an earlier delivery has written.
"""

_PACKAGES = ("meltpoint", "torch", "torchvision", "timm", "ray", "optuna", "mlflow", "numpy")


def progress_metrics(sweep: Sweep, trials: Sequence[Trial], *, until: int) -> list[Metric]:
    """Return the best value so far against the number of trials that have ended, as metric `progress/best`.

    A trial that failed or breaks a limit counts, and leaves the best value as it was. Retrainings do not count.

    trials: of the sweep. until: milliseconds since 1970; later ends are left out.
    """
    ended = [trial for trial in trials if trial.phase is TrialPhase.SEARCH and trial.state.is_finished]
    ended = [trial for trial in ended if trial.finished_at is not None and trial.finished_at <= until]
    metrics, best = [], None
    for count, trial in enumerate(sorted(ended, key=lambda trial: (trial.finished_at or 0, trial.number)), start=1):
        best = _better(best, trial, sweep.goal)
        if best is not None:
            metrics.append(Metric("progress/best", best, trial.finished_at or 0, count))
    return metrics


def _better(best: float | None, trial: Trial, goal: Goal) -> float | None:
    value = trial.best_value
    if value is None or not math.isfinite(value) or trial.state is TrialState.FAILED or trial.breaks is not None:
        return best
    return value if goal.is_better(value, best) else best


def sweep_files(sweep: Sweep, trials: Sequence[Trial], board: Leaderboard | None) -> dict[str, str]:
    """Return the texts of the files of a sweep's run, by path.

    trials: all, retrainings included. board: of a sweep that no process drives; None while it is under way.
    """
    files = {
        f"spec/{Path(sweep.spec_file).name}": sweep.spec_text,
        "environment/versions.json": json.dumps(describe_environment(sweep), indent=2),
    }
    if board is not None:
        files |= {
            "leaderboard/leaderboard.json": json.dumps(board.as_json(), indent=2),
            "leaderboard/leaderboard.csv": board.as_csv(),
            "leaderboard/leaderboard.html": board.as_html(),
            TABLE_FILE: as_table(board),
            "trials.csv": trials_csv(sweep, trials, board),
        }
    if sweep.confirmation is not None and sweep.confirmation["decision"] is not None:
        files["confirmation/confirmation.json"] = json.dumps(sweep.confirmation, indent=2)
    return files


def failure_files(sweep: Sweep, trials: Sequence[Trial]) -> Iterator[tuple[str, str, str]]:
    """Yield run id, path and text of the page about each failed trial that has a run."""
    for trial in trials:
        if trial.state is TrialState.FAILED and trial.mlflow_run_id is not None:
            yield trial.mlflow_run_id, "error.md", describe_failure(sweep, trial)


def as_table(board: Leaderboard) -> str:
    """Return the leaderboard in the format of MLflow's tables."""
    header = ["rank", *board.header()]
    ranks = {trial.id: rank for rank, trial in enumerate(board.ranked, start=1)}
    cells = zip(board.trials, board.cells(), strict=True)
    return json.dumps({"columns": header, "data": [[ranks.get(trial.id, ""), *row] for trial, row in cells]})


def table_tag() -> RunTag:
    """Return the tag by which MLflow's UI finds the table."""
    return RunTag("mlflow.loggedArtifacts", json.dumps([{"path": TABLE_FILE, "type": "table"}]))


def trials_csv(sweep: Sweep, trials: Sequence[Trial], board: Leaderboard) -> str:
    """Return all trials, retrainings included, by number: state, times, result, recipe and metrics."""
    recipe = sorted({name for trial in trials for name in trial.recipe})
    metrics = {trial.id: board.metrics(trial) for trial in trials if trial.phase is TrialPhase.SEARCH}
    names = sorted({name for values in metrics.values() for name in values})
    fixed = ("trial", "phase", "state", "seed", "attempt", "epochs", "best_epoch", f"best/{sweep.metric}")
    times = ("started_at", "finished_at", "retrains", "breaks", "error", "mlflow_run_id")
    names = [name for name in names if name not in fixed]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*fixed, *times, *recipe, *names])
    for trial in trials:
        first = (trial_number(trial), trial.phase.value, trial.state.value, trial.seed, trial.attempt, trial.epochs)
        values = metrics.get(trial.id, {})
        writer.writerow(
            [
                *first,
                *(trial.best_epoch, trial.best_value),
                *(getattr(trial, name) for name in times),
                *(trial.recipe.get(name, "") for name in recipe),
                *(values.get(name, "") for name in names),
            ]
        )
    return out.getvalue()


def describe_environment(sweep: Sweep) -> Json:
    """Return the versions that trained, as the ledger has them, and those of this process, which writes to MLflow."""
    here = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            here[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {"training": sweep.data.get("versions", {}), "here": here, "weights": sweep.data.get("weights", [])}
