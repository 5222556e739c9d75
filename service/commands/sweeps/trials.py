"""`meltpoint trials`."""

from __future__ import annotations

from typing import Annotated

import typer

from service.commands.surroundings import open_requests
from service.formats import Format
from service.terminals import ContextFlag, HomeFlag, Output, SweepRef, print_data, print_next, print_table, stderr


def trials(
    sweep: SweepRef,
    top: Annotated[int | None, typer.Option("--top", min=1, help="Show only the best N trials.")] = None,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="Show only trials that no other beats in every metric.")
    ] = False,
    output: Output = Format.TABLE,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Print a sweep's leaderboard: its trials, best first."""
    with open_requests(context, home) as requests:
        board = requests.leaderboard(sweep)
        board = board.only_pareto() if pareto else board
        following = "status" if requests.is_remote else "ui"
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
