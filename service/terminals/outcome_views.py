"""Show how a sweep ended: the leaderboard or JSON on stdout, and a summary on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout

from rich.console import Console

from search_spaces import Metric
from service.formats import Format, counted, plain_reason
from service.ledgers import Json, Sweep, SweepState, Trial, Waiting
from service.reports import Leaderboard
from service.runs import Outcome
from service.terminals.hints import home_option, print_next
from service.terminals.next_commands import next_command
from service.terminals.outputs import print_data, print_line, print_table
from service.terminals.recipes import recipe_lines
from service.warm_starts import read_outcome

TOP = 10

EXIT_NOT_DELIVERED = 4
"""The exit code of a sweep whose model MLflow has not taken."""


class OutcomeView:
    """Prints how a sweep ended in two parts: the result as soon as it is known, and what MLflow has at the end."""

    def __init__(self, form: Format, console: Console) -> None:
        self._form, self._console, self._stdout = form, console, sys.stdout
        self._has_shown = False

    def show_result(self, outcome: Outcome) -> None:
        """Print leaderboard, best recipe and decision; nothing if stdout gets JSON, which needs the end."""
        if self._form is not Format.TABLE:
            return
        self._has_shown = True
        with redirect_stdout(self._stdout):
            print_table(outcome.board.header(), outcome.board.cells(TOP))
            self._print(epilogue(outcome))
            sweep = outcome.sweep
            if sweep.confirmation is not None and sweep.confirmation["decision"] is not None:
                _show_decision(sweep)
            self._stdout.flush()

    def show_end(self, outcome: Outcome) -> int:
        """Print the rest; return the exit code: 1 if the sweep came to no regular end, 4 if its model is nowhere."""
        if self._form is not Format.TABLE:
            print_data(outcome.as_json(), self._form)
            self._print(epilogue(outcome))
        elif not self._has_shown:
            self.show_result(outcome)
        self._print([*outcome.notices, *_places(outcome)])
        sweep = outcome.sweep
        otherwise = "ui" if sweep.mlflow else "status"
        print_next(next_command(sweep, outcome.board, is_remote=False, otherwise=otherwise), sweep.id)
        if sweep.state not in (SweepState.COMPLETED, SweepState.STOPPED):
            return 1
        return EXIT_NOT_DELIVERED if outcome.lacks_model else 0

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._console.print(line, markup=False, soft_wrap=True)


def _show_decision(sweep: Sweep) -> None:
    """Print the decision of a sweep on stdout, below its leaderboard."""
    from service.sweeps import read_confirmation
    from service.terminals.confirmation_views import show_decision  # importing it loads NumPy

    confirmation = read_confirmation(sweep)
    assert confirmation is not None, "there is a decision"
    print_line("")
    show_decision(confirmation)


def epilogue(outcome: Outcome) -> list[str]:
    """Return the lines below the leaderboard: how the sweep ended, its best recipe, and its failures."""
    sweep, board = outcome.sweep, outcome.board
    lines = [*left_out(board), *board.standing_lines(), *board.objectives.notes(), "", ending(sweep, board)]
    if board.best is not None:
        lines += best_lines(board, board.best)
    warm_start = read_outcome(sweep, board.ranked)
    lines += warm_start.lines() if warm_start else []
    return [*lines, *failure_lines(board)]


def left_out(board: Leaderboard) -> list[str]:
    """Return a line that says how to see the trials below the best ten, if there are any."""
    more = len(board.trials) - TOP
    return [f"{more} more: meltpoint trials {board.sweep.id}{home_option()}"] if more > 0 else []


def ending(sweep: Sweep, board: Leaderboard) -> str:
    """Return the line that says how a sweep ended."""
    counts = ", ".join(f"{count} {state}" for state, count in board.counts().items() if count) or "no trials"
    reason = f": {sweep.error}" if sweep.error else ""
    return f"sweep {sweep.id} {sweep.state} in {sweep.seconds or 0:.0f} s ({counts}){reason}"


def failure_lines(board: Leaderboard) -> list[str]:
    """Return how many trials failed and why; nothing if none did."""
    failures = board.failures()
    if not failures:
        return []
    return [counted(board.counts()["failed"], "trial") + " failed:", *(f"  {line}" for line in failures)]


def best_lines(board: Leaderboard, best: Trial) -> list[str]:
    """Return the best trial's values and recipe."""
    metrics = board.metrics(best)
    test = metrics.get(Metric(board.sweep.metric).on("test"))
    on_test = "" if test is None else f", {test:.4f} on the test images"
    further = zip(board.objectives.header(), board.objectives.cells(best), strict=True)
    others = "".join(f", {name} {value}" for name, value in further if value and name != "pareto")
    in_epoch = f"{best.best_value:.4f} in epoch {best.best_epoch}"
    lines = [f"best trial {best.id}: {board.sweep.metric} {in_epoch}{on_test}{others}"]
    own_stages = board.sweep.own_stages(best.recipe.get("backbone"))
    return lines + [f"  {name}: {text}" for name, text in recipe_lines(best.recipe, own_stages=own_stages)]


def registered_line(registered: Json, *, is_decided: bool) -> str:
    """Return a line that names the registered model, that of the search's best trial; is_decided: by a confirmation."""
    which = "the best of the search" if is_decided else "unconfirmed"
    return f"registered {registered['uri']} (version {registered['version']}, {which})"


def not_registered_line(outcome: Outcome) -> str:
    """Return the line that says that the best trial's model is not registered, and where it is."""
    best = outcome.board.best
    assert best is not None, "only a best trial has a model to register"
    place = f"; its checkpoint is kept in {best.checkpoint}" if best.checkpoint else ""
    return f"the model of {best.id} is trained, but not registered{place}"


def waiting_lines(groups: Sequence[Waiting]) -> list[str]:
    """Return a line for each reason for which MLflow has not taken messages."""
    return [
        f"MLflow has not taken {counted(group.messages, 'message')} ({', '.join(group.subjects)}): "
        f"{plain_reason(group.error)}"
        for group in groups
    ]


def _places(outcome: Outcome) -> list[str]:
    """Return the lines at the end: the registered model, what MLflow has not taken, and where it is."""
    sweep, lines = outcome.sweep, []
    if sweep.registered:
        is_decided = sweep.confirmation is not None and sweep.confirmation["decision"] is not None
        lines.append(registered_line(sweep.registered, is_decided=is_decided))
    if outcome.lacks_model:
        lines.append(not_registered_line(outcome))
    lines += waiting_lines(outcome.waiting)
    if outcome.waiting:
        lines.append(f"the next sweep in this home sends what is left; to send it now: meltpoint sync{home_option()}")
    if sweep.mlflow:
        lines.append(f"MLflow: {sweep.mlflow['tracking_uri']}, experiment {sweep.mlflow['experiment_id']}")
    return lines
