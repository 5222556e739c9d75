"""`meltpoint run`."""

from __future__ import annotations

from rich.console import Console

from search_spaces import SweepSpec
from service.homes import Home
from service.leaderboards import Leaderboard
from service.outputs import Format, print_data, print_table
from service.records import Trial
from service.runners import Outcome, run_sweep
from service.states import SweepState

TOP = 10


def run(spec: SweepSpec, form: Format, home: Home, console: Console) -> int:
    """Run the sweep; returns the exit code."""
    outcome = run_sweep(spec, home=home, console=console)
    if form is Format.TABLE:
        print_table(outcome.board.header(), outcome.board.cells(TOP))
    else:
        print_data(outcome.as_json(), form)
    for line in epilogue(outcome):
        console.print(line, markup=False, soft_wrap=True)
    return 0 if outcome.sweep.state is SweepState.COMPLETED else 1


def epilogue(outcome: Outcome) -> list[str]:
    """What a user wants to know at the end: how it ended, the best recipe, where to look, what to type next."""
    sweep, board = outcome.sweep, outcome.board
    counts = ", ".join(f"{count} {state}" for state, count in board.counts().items() if count)
    reason = f" ({sweep.error})" if sweep.error else ""
    lines = ["", f"sweep {sweep.id} {sweep.state}{reason} in {sweep.seconds or 0:.0f} s: {counts}"]
    if board.best is not None:
        lines += _best(board, board.best)
    lines += _failures(board)
    if sweep.registered:
        lines.append(f"registered {sweep.registered['uri']} (version {sweep.registered['version']}, unconfirmed)")
    if outcome.unsent:
        why = f" ({outcome.tracking_error})" if outcome.tracking_error else ""
        lines.append(f"MLflow has not taken {outcome.unsent} messages yet{why}; the next run with this home sends them")
    if sweep.mlflow:
        lines.append(f"MLflow: {sweep.mlflow['tracking_uri']}, experiment {sweep.mlflow['experiment_id']}")
    return [*lines, f"next: meltpoint ui {sweep.id}"]


def _best(board: Leaderboard, best: Trial) -> list[str]:
    metrics = board.metrics(best)
    test = metrics.get(board.sweep.metric.replace("val/", "test/"))
    on_test = "" if test is None else f", {test:.4f} on the test images"
    lines = [f"best trial {best.id}: {board.sweep.metric} {best.best_value:.4f} in epoch {best.best_epoch}{on_test}"]
    return lines + [f"  {name}: {value}" for name, value in best.recipe.items()]


def _failures(board: Leaderboard) -> list[str]:
    failed = [trial for trial in board.trials if trial.state == "failed"]
    shown = [f"  {trial.id}: {trial.error}" for trial in failed[:5]]
    more = [f"  and {len(failed) - 5} more: meltpoint trials {board.sweep.id} -o json"] if len(failed) > 5 else []
    return [f"{len(failed)} trials failed:", *shown, *more] if failed else []
