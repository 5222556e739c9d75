"""`meltpoint trials`."""

from __future__ import annotations

from typing import Annotated

import typer

from service.formats import Format
from service.settings import Home
from service.terminals import HomeFlag, Output, SweepRef, print_data, print_next, print_table, stderr


def trials(
    sweep: SweepRef,
    top: Annotated[int | None, typer.Option("--top", min=1, help="Show only the best N trials.")] = None,
    output: Output = Format.TABLE,
    home: HomeFlag = None,
) -> None:
    """Print a sweep's leaderboard: its trials, best first."""
    from service.sweeps import open_ledger, read_leaderboard

    with open_ledger(Home.resolve(home)) as ledger:
        board = read_leaderboard(ledger, sweep)
    if output is not Format.TABLE:
        print_data(board.as_json(top), output)
        return
    print_table(board.header(), board.cells(top))
    for line in board.failures():
        stderr().print(f"failed: {line}", markup=False, soft_wrap=True)
    print_next("ui", board.sweep.id)
