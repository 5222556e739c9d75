"""Tags of MLflow runs, made from the ledger's records."""

from __future__ import annotations

import getpass
import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities import RunTag

from service.confirmations import Confirmation, summarize_decision
from service.ledgers import Sweep, SweepState, Trial, TrialPhase, TrialState
from service.objectives import Limits
from service.schedulers import bracket_in
from service.tracking.run_names import trial_name

__all__ = ["RUN_STATUS", "decision_tags", "end_tags", "origin_tags", "state_tag", "sweep_tags", "trial_tags"]

RUN_STATUS: Mapping[TrialState | SweepState, str] = {
    TrialState.COMPLETED: "FINISHED",
    TrialState.PRUNED: "FINISHED",
    TrialState.FAILED: "FAILED",
    TrialState.CANCELLED: "KILLED",
    TrialState.PAUSED: "KILLED",
    SweepState.COMPLETED: "FINISHED",
    SweepState.STOPPED: "FINISHED",
    SweepState.CANCELLED: "KILLED",
    SweepState.INTERRUPTED: "KILLED",
    SweepState.PAUSED: "KILLED",
    SweepState.FAILED: "FAILED",
}
"""MLflow's status of a run for each state that ends one. MLflow knows no pause."""

_LONGEST_ERROR = 5000
_GIT_SECONDS = 2.0

_PRUNED_COLOUR, _FAILED_COLOUR = "#b8bec6", "#e0b4b4"
"""Colours of runs that did not complete, in MLflow's charts; it gives every other run one of its own."""


def origin_tags(sweep: Sweep) -> dict[str, str]:
    """Return the tags that say where all runs of a sweep come from: file, user, and the commit of the file's folder."""
    tags = {
        "mlflow.source.name": Path(sweep.spec_file).name,
        "meltpoint.sweep_id": sweep.id,
        "meltpoint.spec_digest": hashlib.sha256(sweep.spec_text.encode()).hexdigest()[:16],
    }
    user = sweep.owner or _system_user()
    commit = _commit(Path(sweep.spec_file))
    return tags | ({"mlflow.user": user} if user else {}) | ({"mlflow.source.git.commit": commit} if commit else {})


def _system_user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        return None


def _commit(file: Path) -> str | None:
    """Return the commit of the repository that holds the file and tracks it; None if there is none."""
    if not file.is_absolute() or not file.is_file():
        return None
    git = ("git", "-C", str(file.parent))
    try:
        for command in ((*git, "ls-files", "--error-unmatch", "--", file.name), (*git, "rev-parse", "HEAD")):
            answer = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    return answer.stdout.strip() or None


def sweep_tags(sweep: Sweep) -> dict[str, str]:
    """Return the tags with which a sweep's run begins, beside its origin; `meltpoint.sweep_id` finds it again."""
    costs = Limits.from_sweep(sweep).costs
    measured = costs.describe_machine() if costs else ""
    tags = {
        "mlflow.runName": f"{sweep.name} {sweep.id}",
        "meltpoint.kind": "sweep",
        "meltpoint.state": SweepState.RUNNING.value,
    }
    return tags | {"meltpoint.latency": measured} if measured else tags


def parent_tag(run_id: str) -> RunTag:
    """Return the tag that puts a run below another one."""
    return RunTag("mlflow.parentRunId", run_id)


def trial_tags(sweep: Sweep, trial: Trial, *, parent: str) -> dict[str, str]:
    """Return the tags with which a trial's run begins, beside its origin; parent: id of the sweep's run."""
    tags = {
        "mlflow.runName": trial_name(sweep, trial),
        "mlflow.parentRunId": parent,
        "meltpoint.kind": "trial" if trial.phase is TrialPhase.SEARCH else "retraining",
        "meltpoint.trial_id": trial.id,
        "meltpoint.identity": trial.identity,
        "meltpoint.state": TrialState.RUNNING.value,
        "meltpoint.attempt": str(trial.attempt),
    }
    if trial.node:
        tags["meltpoint.node"] = trial.node
    if trial.phase is TrialPhase.CONFIRM:
        return tags | {"meltpoint.retrains": trial.retrains or "default", "meltpoint.seed": str(trial.seed)}
    bracket = bracket_in(sweep, trial.number)
    return tags if bracket is None else tags | {"meltpoint.bracket": str(bracket)}


def state_tag(state: TrialState | SweepState) -> RunTag:
    """Return the tag that shows the state."""
    return RunTag("meltpoint.state", state.value)


def end_tags(trial: Trial) -> list[RunTag]:
    """Return the tags that a trial's run gets at its end: state, node, error, how its frozen part was computed."""
    tags = [state_tag(trial.state), RunTag("meltpoint.attempt", str(trial.attempt))]
    if trial.state is TrialState.PRUNED:
        tags.append(RunTag("mlflow.runColor", _PRUNED_COLOUR))
    elif trial.state in (TrialState.FAILED, TrialState.CANCELLED):
        tags.append(RunTag("mlflow.runColor", _FAILED_COLOUR))
    if trial.sharing is not None:
        sharing = trial.sharing
        reason = sharing["trouble"] or sharing["reason"]
        note = f"{sharing['computed']} images computed, {sharing['read']} read; {reason}"
        tags += [RunTag("meltpoint.prefix", sharing["training"]), RunTag("meltpoint.prefix.note", note)]
    node = trial.node or (trial.sharing or {}).get("node")
    if node:
        tags.append(RunTag("meltpoint.node", node))
    if trial.breaks:
        tags.append(RunTag("meltpoint.breaks", trial.breaks))
    if trial.error:
        tags.append(RunTag("meltpoint.error", trial.error[:_LONGEST_ERROR]))
    return tags


def decision_tags(confirmation: Confirmation) -> list[RunTag]:
    """Return the tags of a sweep's run that tell its decision: outcome, recipe, and the model to deploy."""
    decision, chosen = confirmation.decision, confirmation.chosen
    assert decision is not None, "there is a decision"
    assert chosen is not None, "a decision chooses a recipe"
    return [
        RunTag("meltpoint.decision", decision.outcome.value),
        RunTag("meltpoint.decision.summary", summarize_decision(decision)),
        RunTag("meltpoint.chosen", chosen.trial_id or "default"),
        RunTag("meltpoint.deployed", confirmation.deployed or ""),
    ]
