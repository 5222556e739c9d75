"""Experiments of MLflow, found by their names, and their descriptions, which lead to the views of their sweeps."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from service.ledgers import Sweep, SweepState
from service.tracking.views import CURVES_SUFFIX, view_address

__all__ = [
    "NOTE",
    "NamedExperiment",
    "decorate_experiment",
    "describe_sweep",
    "find_or_create_experiment",
    "forget_sweep",
]

log = logging.getLogger(__name__)

NOTE = "mlflow.note.content"
"""The tag with a description."""

_LONGEST_NOTE = 16_000
"""Characters of a description; MLflow refuses more than 20,000, and people may add some."""

_KEY = "viewStateShareKey="


@dataclass(frozen=True, kw_only=True)
class NamedExperiment:
    """An experiment's id and name."""

    id: str
    name: str


def find_or_create_experiment(client: MlflowClient, name: str, folder: Path | None) -> NamedExperiment:
    """Return the experiment of that name; create it if there is none.

    A deleted experiment stays deleted, since restoring it would bring back every run that was deleted by hand. The
    first name of `NAME-2`, `NAME-3` and so on that is free or in use takes its place.

    folder: of the artifacts of all experiments in the home's own store; None leaves the place to MLflow's server.
    """
    for number in count(1):
        present = name if number == 1 else f"{name}-{number}"
        experiment = _find(client, present) or _create(client, present, folder)
        if experiment.lifecycle_stage == "active":
            return NamedExperiment(id=str(experiment.experiment_id), name=present)
    raise AssertionError("count() has no end")


def _find(client: MlflowClient, name: str) -> Experiment | None:
    return client.get_experiment_by_name(name)


def _create(client: MlflowClient, name: str, folder: Path | None) -> Experiment:
    """Create an experiment, unless another process has created it meanwhile; return it."""
    location = None if folder is None else (folder / name).as_uri()
    try:
        return client.get_experiment(client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        experiment = _find(client, name) if error.error_code == "RESOURCE_ALREADY_EXISTS" else None
        if experiment is None:
            raise
        return experiment


def describe_sweep(client: MlflowClient, sweep: Sweep, state: SweepState, *, report: str | None = None) -> None:
    """Write a line with links to the sweep's views into its experiment's description, in place of an earlier one.

    The newest sweep's line goes first: MLflow shows the first line of a folded description. Other text stays. If the
    description becomes too long, the lines of the oldest sweeps go; if people's own text is too long, it stays alone.

    report: path of a new report among the artifacts of the sweep's run; the link to an earlier one stays.
    """
    assert sweep.mlflow is not None, sweep
    experiment_id, run_id = sweep.mlflow["experiment_id"], sweep.mlflow["run_id"]
    links = [
        f"[view]({view_address('', experiment_id, sweep.id).removeprefix('/')})",
        f"[curves of the best 20]({view_address('', experiment_id, sweep.id + CURVES_SUFFIX).removeprefix('/')})",
        f"[leaderboard and files](#/experiments/{experiment_id}/runs/{run_id}/artifacts)",
    ]
    before = client.get_experiment(experiment_id).tags.get(NOTE, "")
    if report is not None:
        links.append(f"[report](#/experiments/{experiment_id}/runs/{run_id}/artifacts/{report})")
    else:
        links += _report_links(before, sweep.id)
    line = f"- Sweep **{sweep.id}** {state.value}: {', '.join(links)}"
    after = _with_line(before, line, sweep.id)
    if after != before and len(after) <= max(_LONGEST_NOTE, len(before)):
        decorate_experiment(client, experiment_id, NOTE, after)


def forget_sweep(client: MlflowClient, sweep: Sweep) -> None:
    """Remove the line with the sweep's links from its experiment's description."""
    assert sweep.mlflow is not None, sweep
    experiment_id = sweep.mlflow["experiment_id"]
    before = client.get_experiment(experiment_id).tags.get(NOTE, "").splitlines()
    after = [line for line in before if f"{_KEY}{sweep.id}&" not in line]
    if after != before:
        decorate_experiment(client, experiment_id, NOTE, "\n".join(after))


def decorate_experiment(client: MlflowClient, experiment_id: str, key: str, value: str) -> None:
    """Write a tag that only pages show. A value that MLflow's server refuses is logged: no run must wait for it."""
    try:
        client.set_experiment_tag(experiment_id, key, value)
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        log.warning("MLflow refused the tag %s of experiment %s: %s", key, experiment_id, error)


def _report_links(note: str, sweep_id: str) -> list[str]:
    """Return the link to the sweep's report that the description has already."""
    line = next((text for text in note.splitlines() if f"{_KEY}{sweep_id}&" in text), "")
    return re.findall(r"\[report\]\([^)]*\)", line)


def _with_line(note: str, line: str, sweep_id: str) -> str:
    lines = note.splitlines()
    places = [number for number, text in enumerate(lines) if f"{_KEY}{sweep_id}&" in text]
    if places:
        lines[places[0]] = line
    else:
        ours = _ours(lines)
        lines[ours[0] if ours else 0 : 0] = [line] if ours or not lines else [line, ""]
    length = sum(len(text) + 1 for text in lines)
    for number in reversed(_ours(lines)):
        if length <= _LONGEST_NOTE:
            break
        length -= len(lines.pop(number)) + 1
    return "\n".join(lines)


def _ours(lines: Sequence[str]) -> list[int]:
    """Return the places of the lines that `describe_sweep` wrote."""
    return [number for number, text in enumerate(lines) if text.startswith("- Sweep **") and _KEY in text]
