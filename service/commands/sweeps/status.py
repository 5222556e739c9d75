"""`meltpoint status`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from search_spaces.documents import format_size
from service.commands.surroundings import exiting_if_not_found, open_requests
from service.formats import Format, counted, plain_reason
from service.ledgers import TrialPhase, TrialState
from service.reports import data_notes
from service.terminals import ContextFlag, HomeFlag, Output, SweepRef, home_option, print_data, print_next, print_table
from service.terminals.next_commands import next_command
from service.terminals.recipes import recipe_lines

if TYPE_CHECKING:
    from service.ledgers import Sweep
    from service.reports import Leaderboard
    from service.sweeps import SweepStatus


def status(
    sweep: SweepRef,
    exit_code: Annotated[
        bool,
        typer.Option(
            "--exit-code",
            help="Exit with 0 completed or stopped, 100 failed, 101 not finished, 102 not found, 103 cancelled.",
        ),
    ] = False,
    output: Output = Format.TABLE,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Show how a sweep stands."""
    with exiting_if_not_found() if exit_code else nullcontext(), open_requests(context, home) as requests:
        current, is_remote = requests.status(sweep), requests.is_remote
    if output is not Format.TABLE:
        print_data(current.as_json(), output)
    else:
        print_table(["", ""], list(_lines(current, is_remote=is_remote)))
        print_next(_next_command(current, is_remote=is_remote), current.sweep.id)
    if exit_code:
        from service.terminals.follow_views import exit_code as exit_code_of

        sys.exit(exit_code_of(current.sweep))


def _next_command(status: SweepStatus, *, is_remote: bool) -> str:
    sweep, confirmation = status.sweep, status.confirmation
    is_watched = sweep.state.is_under_way and (sweep.phase is TrialPhase.CONFIRM or not status.board.trials)
    return next_command(
        sweep,
        status.board,
        is_remote=is_remote,
        is_decided=confirmation is not None and confirmation.sentence is not None,
        otherwise="watch" if is_watched else "trials",
    )


def _lines(status: SweepStatus, *, is_remote: bool) -> Iterator[tuple[str, str]]:
    sweep, board = status.sweep, status.board
    counts = ", ".join(f"{count} {state}" for state, count in board.counts().items() if count)
    yield "sweep", sweep.id
    yield "name", sweep.name
    yield "state", sweep.state.value
    yield "trials", counts or "none yet"
    if nodes := _node_counts(board):
        yield "nodes", nodes
    if status.confirmation is not None:
        yield "confirmation", status.confirmation.describe(sweep.state)
    if sweep.owner:
        yield "owner", sweep.owner
    if sweep.waiting_for and sweep.state.is_under_way:
        yield "waits for", sweep.waiting_for
    if sweep.priority:
        yield "priority", str(sweep.priority)
    if sweep.slot_cap is not None:
        yield "slots", f"at most {sweep.slot_cap}"
    if sweep.error:
        yield "reason", sweep.error
    yield from (("failed", line) for line in board.failures())
    if board.best is not None:
        yield "best", f"{board.best.id}  {sweep.metric} {board.best.best_value:.4f}"
        own_stages = sweep.own_stages(board.best.recipe.get("backbone"))
        yield from ((f"  {name}", text) for name, text in recipe_lines(board.best.recipe, own_stages=own_stages))
    yield from _data_lines(sweep)
    if sweep.registered:
        yield "registered", sweep.registered["uri"]
    if sweep.mlflow:
        yield "mlflow", f"{sweep.mlflow['tracking_uri']} experiment {sweep.mlflow['experiment_id']}"
    yield from _checkpoint_lines(status)
    if status.unsent:
        by_hand = "" if sweep.state.is_under_way else f"; send them with: meltpoint sync{home_option()}"
        remedy = "; the service sends them again and again" if is_remote else by_hand
        yield "unsent", f"{counted(status.unsent, 'message')} to MLflow{remedy}"
    yield from (("  because", f"{', '.join(group.subjects)}: {plain_reason(group.error)}") for group in status.waiting)


def _node_counts(board: Leaderboard) -> str:
    """Return the numbers of running trials by node; nothing if the sweep has used one node alone."""
    running = Counter(trial.node for trial in board.trials if trial.state is TrialState.RUNNING and trial.node)
    if len(board.nodes) < 2 or not running:
        return ""
    return ", ".join(f"{name} {count} running" for name, count in sorted(running.items()))


def _checkpoint_lines(status: SweepStatus) -> Iterator[tuple[str, str]]:
    stores = f" in {', '.join(status.checkpoint_stores)}" if status.checkpoint_stores else ""
    yield "checkpoints", f"{counted(status.checkpoint_files, 'file')}, {format_size(status.checkpoint_bytes)}{stores}"
    if status.unlisted:
        yield "  not counted", status.unlisted


def _data_lines(sweep: Sweep) -> Iterator[tuple[str, str]]:
    data = sweep.data
    if "digest" not in data:  # no driver has read the images yet
        return
    resized = f"{data['image_size']} px, {data.get('interpolation', 'bilinear')}"
    yield "data", f"{data['name']}, {data['images']} images at {resized}, digest {data['digest'][:12]}"
    yield from (("data note", line) for line in data_notes(data))
    yield from (("skipped", f"{name}: {reason}") for name, reason in data.get("skipped", {}).items())
