"""`meltpoint ls`."""

from __future__ import annotations

from typing import Annotated

import typer

from service.commands.surroundings import open_requests
from service.errors import UsageError
from service.formats import Format
from service.ledgers import SweepState
from service.terminals import ContextFlag, HomeFlag, Output, print_data, print_table, stderr

_HEADER = ("sweep", "name", "state", "trials", "metric", "best", "started", "seconds")


def ls(
    state: Annotated[
        list[SweepState] | None, typer.Option("--state", help="Show only sweeps in this state; may be given again.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Show only sweeps of this name.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Show only the newest N sweeps.")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Show only sweeps that you submitted.")] = False,
    owner: Annotated[str | None, typer.Option("--owner", metavar="USER", help="Show only this user's sweeps.")] = None,
    output: Output = Format.TABLE,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """List the sweeps, newest first."""
    if mine and owner:
        raise UsageError("--mine and --owner cannot be given together")
    with open_requests(context, home) as requests:
        user = requests.user() if mine else owner
        summaries = requests.list(states=state or None, name=name, owner=user, limit=limit)
        hint = "submit" if requests.is_remote else "run"
    rows = [summary.as_json() for summary in summaries]
    if output is not Format.TABLE:
        print_data(rows, output)
    elif rows:
        print_table(_HEADER, [_cells(**row) for row in rows])
    elif state or name or user:
        stderr().print("no such sweeps")
    else:
        stderr().print(f"no sweeps yet; start one with: meltpoint {hint} SPEC")


def _cells(
    *,
    sweep_id: str,
    name: str,
    state: str,
    trials: int,
    metric: str,
    best_value: float | None,
    started: str | None,
    seconds: float | None,
) -> list[str]:
    best = "" if best_value is None else f"{best_value:.4f}"
    return [
        *(sweep_id, name, state, str(trials), metric, best),
        *(started or "", "" if seconds is None else f"{seconds:.0f}"),
    ]
