"""Ranks of a sweep's trials, and its winner, marked at their runs once the sweep has ended."""

from __future__ import annotations

from mlflow.entities import Metric, RunTag
from mlflow.tracking import MlflowClient

from service.confirmations import Confirmation
from service.ledgers import Trial
from service.reports import Leaderboard
from service.tracking.run_names import BEST_SIGN, RANK, WINNER_SIGN, trial_name, trial_number
from service.tracking.run_writers import RunUpdate, RunWriter, leaving_deleted_alone

__all__ = ["MOST_RANKED", "describe_winner", "find_end_step", "mark_standings"]

MOST_RANKED = 100
"""Most trials whose runs get a rank: a page of MLflow's UI."""

_END_METRIC = "trials/completed"
"""A metric that every end of a sweep writes to its run: its steps are taken."""

_COLOURS = {True: "#0b6e4f", False: "#1f6fb2"}
"""Colours of the winner of a confirmation, and of the best trial of a search without one."""


def find_end_step(client: MlflowClient, run_id: str, *, ended: int, at: int) -> int:
    """Return the step of what an end of the sweep writes: the number of its ended trainings, unless it is taken.

    An end after a resumption has a step of its own, so that no metric has two values at one step. A repeated delivery,
    known by its time, has the same step again.

    run_id: of the sweep's run. ended: trials and retrainings that have ended. at: milliseconds since 1970.
    """
    earlier = client.get_metric_history(run_id, _END_METRIC)
    repeated = [int(metric.step) for metric in earlier if metric.timestamp == at]
    return repeated[-1] if repeated else max([ended, *(int(metric.step) + 1 for metric in earlier)])


def mark_standings(
    client: MlflowClient,
    runs: RunWriter,
    experiment_id: str,
    board: Leaderboard,
    confirmation: Confirmation | None,
    at: int,
    *,
    step: int,
) -> None:
    """Give the best trials' runs their ranks, and the winner its sign; take the sign from an earlier winner.

    The winner is the recipe that the confirmation chose; without a confirmation, the best trial, as `unconfirmed`.
    at: milliseconds since 1970. step: of the metric, another one at each end of the sweep.
    """
    winner, is_confirmed = _winner(board, confirmation)
    for run_id in _marked_runs(client, experiment_id, board):
        if winner is None or run_id != winner.mlflow_run_id:
            _unmark(client, board, run_id)
    ranks = {trial.id: rank for rank, trial in enumerate(board.ranked, start=1)}
    shown = board.ranked[:MOST_RANKED]
    last = [winner] if winner is not None and winner.id in ranks and winner not in shown else []
    for trial in [*shown, *last]:
        if trial.mlflow_run_id is not None:
            is_first = trial is winner and is_confirmed
            place = 0 if is_first else ranks[trial.id]
            metrics = [Metric(RANK, float(place), at, step)]
            tags = [RunTag("meltpoint.rank", str(ranks[trial.id]))]
            if trial is winner:
                tags += _winner_tags(board, trial, is_confirmed=is_confirmed)
            runs.write(trial.mlflow_run_id, RunUpdate(metrics=metrics, tags=tags))


def describe_winner(board: Leaderboard, confirmation: Confirmation | None) -> str:
    """Return the winner with its sign, number and value, for a title in the view; empty if there is none.

    The value is that of the search, by which the charts place the trial. MLflow cuts titles after some 50 letters.
    """
    winner, is_confirmed = _winner(board, confirmation)
    if winner is None or winner.best_value is None:
        return ""
    sign, word = (WINNER_SIGN, "winner") if is_confirmed else (BEST_SIGN, "best")
    if confirmation is not None and confirmation.decision is not None and confirmation.decision.winner is None:
        word = "default"
    return f"{word} {sign} {trial_number(winner)}: {winner.best_value:.4f} {board.sweep.metric}"


def _winner(board: Leaderboard, confirmation: Confirmation | None) -> tuple[Trial | None, bool]:
    if confirmation is None or confirmation.chosen is None:
        return board.best, False
    chosen = confirmation.chosen.trial_id
    return next((trial for trial in board.trials if trial.id == chosen), None), True


def _winner_tags(board: Leaderboard, trial: Trial, *, is_confirmed: bool) -> list[RunTag]:
    sign = WINNER_SIGN if is_confirmed else BEST_SIGN
    return [
        RunTag("meltpoint.winner", "confirmed" if is_confirmed else "unconfirmed"),
        RunTag("mlflow.runName", trial_name(board.sweep, trial, sign=sign)),
        RunTag("mlflow.runColor", _COLOURS[is_confirmed]),
    ]


def _marked_runs(client: MlflowClient, experiment_id: str, board: Leaderboard) -> list[str]:
    query = f"tags.`meltpoint.sweep_id` = '{board.sweep.id}' and tags.`meltpoint.winner` LIKE '%confirmed'"
    return [str(run.info.run_id) for run in client.search_runs([experiment_id], filter_string=query)]


def _unmark(client: MlflowClient, board: Leaderboard, run_id: str) -> None:
    trial = next((trial for trial in board.trials if trial.mlflow_run_id == run_id), None)
    with leaving_deleted_alone(run_id):
        for tag in ("meltpoint.winner", "mlflow.runColor"):
            client.delete_tag(run_id, tag)
        if trial is not None:
            client.set_tag(run_id, "mlflow.runName", trial_name(board.sweep, trial))
