"""`meltpoint compare`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from service.commands.surroundings import open_requests
from service.formats import Format
from service.terminals import ContextFlag, HomeFlag, Output, SweepRef, print_data, print_next, print_table, stdout

if TYPE_CHECKING:
    from service.reports import Comparison, Difference

LONGEST_CELL = 60


def compare(
    first: SweepRef,
    second: SweepRef,
    output: Output = Format.TABLE,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Show what differs between two sweeps: spaces, settings, winners, cost."""
    with open_requests(context, home) as requests:
        comparison = requests.compare(first, second)
    ids = [comparison.first.sweep.id, comparison.second.sweep.id]
    if output is Format.CSV:
        print_data([_flat(difference, ids) for difference in comparison.differences()], output)
    elif output is not Format.TABLE:
        print_data(comparison.as_json(), output)
    else:
        _print(comparison, ids)
    print_next("trials", ids[0])


def _flat(difference: Difference, ids: list[str]) -> dict[str, Any]:
    return {"section": difference.section, "name": difference.name, ids[0]: difference.first, ids[1]: difference.second}


def _print(comparison: Comparison, ids: list[str]) -> None:
    names = [board.sweep.name for board in (comparison.first, comparison.second)]
    print_table(
        ["", *(f"{name} {sweep_id}" for name, sweep_id in zip(names, ids, strict=True))], list(_rows(comparison))
    )
    console = stdout()
    console.print()
    for line in _verdict(comparison):
        console.print(line, markup=False, soft_wrap=True)


def _rows(comparison: Comparison) -> Iterator[list[str]]:
    for section, differences in groupby(comparison.differences(), key=lambda difference: difference.section):
        yield [section, "", ""]
        for difference in differences:
            values = _as_written(comparison, difference) or (difference.first, difference.second)
            yield [f"  {difference.name}", *map(_cell, values)]


def _as_written(comparison: Comparison, difference: Difference) -> tuple[str, str] | None:
    """Return the freeze depths of the winners as sweep files have them; None for another difference."""
    first, second = comparison.first.best, comparison.second.best
    if (difference.section, difference.name) != ("recipe", "freeze_depth") or first is None or second is None:
        return None
    from service.reports import recipe_cell

    sweeps = comparison.first.sweep, comparison.second.sweep
    written = (
        recipe_cell(best.recipe, difference.name, own_stages=sweep.own_stages(best.recipe.get("backbone")))
        for sweep, best in zip(sweeps, (first, second), strict=True)
    )
    return next(written), next(written)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float) and 0.1 <= abs(value) <= 1:
        return f"{value:.4f}"
    from service.reports import short

    text = short(value)
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 3]}..."


def _verdict(comparison: Comparison) -> Iterator[str]:
    if comparison.obstacles:
        yield from (f"the winners cannot be compared: {obstacle}" for obstacle in comparison.obstacles)
        return
    sweep, gap = comparison.first.sweep, comparison.gap
    if gap == 0:
        yield f"both winners have the same {sweep.metric}, on the same images"
        return
    better = comparison.first.sweep.id if gap > 0 else comparison.second.sweep.id
    images = sum(counts["val"] for counts in sweep.data["classes"].values())
    yield f"{better} is better by {abs(gap):.4f} in {sweep.metric}, on the same {images} validation images"
