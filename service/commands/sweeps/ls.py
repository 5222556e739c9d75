"""`meltpoint ls`."""

from __future__ import annotations

from service.formats import Format
from service.settings import Home
from service.terminals import HomeFlag, Output, print_data, print_table, stderr

_HEADER = ("sweep", "name", "state", "trials", "metric", "best", "started", "seconds")


def ls(output: Output = Format.TABLE, home: HomeFlag = None) -> None:
    """List the sweeps, newest first."""
    place, rows = Home.resolve(home), []
    if place.has_ledger:
        from service.sweeps import list_sweeps, open_ledger

        with open_ledger(place) as ledger:
            rows = [summary.as_json() for summary in list_sweeps(ledger)]
    if output is not Format.TABLE:
        print_data(rows, output)
    elif not rows:
        stderr().print("no sweeps yet; start one with: meltpoint run SPEC")
    else:
        print_table(_HEADER, [_cells(**row) for row in rows])


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
