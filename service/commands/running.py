"""`meltpoint run`."""

from __future__ import annotations

import re

from rich.console import Console

from search_spaces import SweepSpec
from service.early_starts import Early
from service.homes import Home
from service.leaderboards import Leaderboard
from service.outputs import Format, counted, own_stdout, print_data, print_table
from service.records import Trial
from service.runners import Outcome, run_sweep
from service.states import SweepState

TOP = 10


def run(spec: SweepSpec, form: Format, home: Home, console: Console, early: Early | None) -> int:
    """Run the sweep, with what was started early if anything was; returns the exit code."""
    with own_stdout():
        outcome = run_sweep(spec, home=home, console=console, early=early)
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
    counts = ", ".join(f"{count} {state}" for state, count in board.counts().items() if count) or "no trials"
    reason = f": {sweep.error}" if sweep.error else ""
    lines = [f"{len(board.trials) - TOP} more: meltpoint trials {sweep.id}"] if len(board.trials) > TOP else []
    lines += ["", f"sweep {sweep.id} {sweep.state} in {sweep.seconds or 0:.0f} s ({counts}){reason}"]
    if board.best is not None:
        lines += _best(board, board.best)
    if failures := board.failures():
        lines += [counted(board.counts()["failed"], "trial") + " failed:", *(f"  {line}" for line in failures)]
    return [*lines, *_whereabouts(outcome)]


def _best(board: Leaderboard, best: Trial) -> list[str]:
    metrics = board.metrics(best)
    test = metrics.get(board.sweep.metric.replace("val/", "test/"))
    on_test = "" if test is None else f", {test:.4f} on the test images"
    lines = [f"best trial {best.id}: {board.sweep.metric} {best.best_value:.4f} in epoch {best.best_epoch}{on_test}"]
    return lines + [f"  {name}: {value}" for name, value in best.recipe.items()]


def _whereabouts(outcome: Outcome) -> list[str]:
    sweep, lines = outcome.sweep, []
    if sweep.registered:
        lines.append(f"registered {sweep.registered['uri']} (version {sweep.registered['version']}, unconfirmed)")
    if outcome.unsent:
        why = f": {brief(outcome.tracking_error)}" if outcome.tracking_error else ""
        left = "" if sweep.registered or outcome.board.best is None else ", the model among them"
        lines.append(f"MLflow has not taken {counted(outcome.unsent, 'message')} yet{left}{why}")
        lines.append("they are kept; the next `meltpoint run` with this home sends them")
    if sweep.mlflow:
        lines.append(f"MLflow: {sweep.mlflow['tracking_uri']}, experiment {sweep.mlflow['experiment_id']}")
        return [*lines, f"next: meltpoint ui {sweep.id}"]
    return [*lines, f"next: meltpoint status {sweep.id}"]


def brief(error: str) -> str:
    """The end of a chained network error says what happened; the rest is addresses and object names."""
    causes = re.findall(r"\[Errno -?\d+\] [^'\")\]>]+|Read timed out|\d{3} [A-Z][a-z]+(?: [A-Z][a-z]+)*", error)
    return causes[-1] if causes else error.splitlines()[0][:200]
