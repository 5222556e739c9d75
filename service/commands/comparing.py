"""`meltpoint compare`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from service.commands.listing import open_ledger
from service.formats import Format
from service.reports import Comparison, Difference, Leaderboard, short
from service.settings import Home
from service.terminals import print_data, print_table, stderr, stdout

LONGEST_CELL = 60


def compare(one: str, other: str, form: Format, home: Home) -> None:
    """Print what differs between two sweeps."""
    with open_ledger(home) as ledger:
        boards = [Leaderboard.read(ledger, ledger.sweeps.find(reference)) for reference in (one, other)]
    found = Comparison(one=boards[0], other=boards[1])
    ids = [board.sweep.id for board in boards]
    if form is Format.CSV:
        print_data([_flat(difference, ids) for difference in found.differences()], form)
    elif form is not Format.TABLE:
        print_data(found.as_json(), form)
    else:
        _print(found, ids)
    stderr().print(f"next: meltpoint trials {ids[0]}")


def _flat(difference: Difference, ids: list[str]) -> dict[str, Any]:
    return {"section": difference.section, "name": difference.name, ids[0]: difference.one, ids[1]: difference.other}


def _print(found: Comparison, ids: list[str]) -> None:
    rows = list(_rows(found))
    print_table(["", *(f"{board.sweep.name} {board.sweep.id}" for board in (found.one, found.other))], rows)
    console = stdout()
    console.print()
    for line in _verdict(found):
        console.print(line, markup=False, soft_wrap=True)


def _rows(found: Comparison) -> Iterator[list[str]]:
    for section, differences in groupby(found.differences(), key=lambda one: one.section):
        yield [section, "", ""]
        for one in differences:
            yield [f"  {one.name}", *(_cell(value) for value in (one.one, one.other))]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float) and 0.1 <= abs(value) <= 1:
        return f"{value:.4f}"
    text = short(value)
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 3]}..."


def _verdict(found: Comparison) -> Iterator[str]:
    if found.obstacles:
        yield from (f"the winners cannot be compared: {obstacle}" for obstacle in found.obstacles)
        return
    sweep, gap = found.one.sweep, found.gap
    if gap == 0:
        yield f"both winners have the same {sweep.metric}, on the same images"
        return
    better = found.one.sweep.id if gap > 0 else found.other.sweep.id
    images = sum(of["val"] for of in sweep.data["classes"].values())
    yield f"{better} is better by {abs(gap):.4f} in {sweep.metric}, on the same {images} validation images"
