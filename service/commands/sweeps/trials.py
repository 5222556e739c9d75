"""`meltpoint trials`."""

from __future__ import annotations

from typing import Annotated

import typer

from service.commands.surroundings import open_requests
from service.errors import NotFoundError, UsageError
from service.formats import Format
from service.ledgers import TrialPhase, TrialState
from service.reports import retraining_table
from service.sweeps import SweepRequests
from service.terminals import (
    ContextFlag,
    HomeFlag,
    Output,
    SweepRef,
    print_data,
    print_next,
    print_table,
    stderr,
)
from service.terminals.next_commands import next_command


def trials(
    sweep: SweepRef,
    top: Annotated[int | None, typer.Option("--top", min=1, help="Show only the best N trials.")] = None,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="Show only trials that no other beats in every metric.")
    ] = False,
    phase: Annotated[
        TrialPhase, typer.Option("--phase", help="Show the trials of the search, or the retrainings of `confirm`.")
    ] = TrialPhase.SEARCH,
    output: Output = Format.TABLE,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Print a sweep's leaderboard: its trials, best first."""
    with open_requests(context, home) as requests:
        if phase is TrialPhase.CONFIRM:
            if top is not None or pareto:
                raise UsageError("--top and --pareto choose among the trials of the search, not with --phase confirm")
            _print_retrainings(requests, sweep, output)
            return
        board = requests.leaderboard(sweep, readings_of=0 if output is Format.TABLE else top)
        board = board.only_pareto() if pareto else board
        following = next_command(board.sweep, board, is_remote=requests.is_remote, otherwise="ui")
    if output is not Format.TABLE:
        print_data(board.as_json(top), output)
        return
    print_table(board.header(), board.cells(top))
    for sentence in board.standing_lines():
        stderr().print(sentence, markup=False, soft_wrap=True)
    for line in board.objectives.notes():
        stderr().print(line, markup=False, soft_wrap=True)
    for line in board.failures():
        stderr().print(f"failed: {line}", markup=False, soft_wrap=True)
    print_next(following, board.sweep.id)


def _print_retrainings(requests: SweepRequests, reference: str, output: Format) -> None:
    """Print the retrainings of a confirmation, in the order in which they began."""
    sweep = requests.find(reference)
    retrainings = requests.retrainings(sweep.id)
    if output is not Format.TABLE:
        print_data([retraining.as_json() for retraining in retrainings], output)
        return
    if not retrainings:
        raise NotFoundError(f"{sweep.id} has no retrainings; to confirm it: meltpoint confirm {sweep.id}")
    print_table(*retraining_table(retrainings, metric=sweep.metric))
    for retraining in retrainings:
        if retraining.state is TrialState.FAILED:
            stderr().print(f"failed: {retraining.trial_id}: {retraining.error}", markup=False, soft_wrap=True)
    print_next("watch" if sweep.state.is_under_way else "confirm", sweep.id)
