"""`meltpoint status`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from search_spaces.documents import format_size
from service.formats import Format, counted
from service.settings import Home
from service.terminals import HomeFlag, Output, SweepRef, print_data, print_next, print_table
from service.terminals.recipes import recipe_lines

if TYPE_CHECKING:
    from service.ledgers import Sweep
    from service.sweeps import SweepStatus


def status(sweep: SweepRef, output: Output = Format.TABLE, home: HomeFlag = None) -> None:
    """Show how a sweep stands."""
    from service.sweeps import get_status, open_ledger

    place = Home.resolve(home)
    with open_ledger(place) as ledger:
        current = get_status(ledger, place, sweep)
    if output is not Format.TABLE:
        print_data(current.as_json(), output)
        return
    print_table(["", ""], list(_lines(current)))
    print_next("resume" if current.sweep.state.rests else "trials", current.sweep.id)


def _lines(status: SweepStatus) -> Iterator[tuple[str, str]]:
    sweep, board = status.sweep, status.board
    counts = ", ".join(f"{count} {state}" for state, count in board.counts().items() if count)
    yield "sweep", sweep.id
    yield "name", sweep.name
    yield "state", sweep.state.value
    yield "trials", counts or "none yet"
    if sweep.error:
        yield "reason", sweep.error
    yield from (("failed", line) for line in board.failures())
    if board.best is not None:
        yield "best", f"{board.best.id}  {sweep.metric} {board.best.best_value:.4f}"
        yield from ((f"  {name}", text) for name, text in recipe_lines(board.best.recipe))
    yield from _data_lines(sweep)
    if sweep.registered:
        yield "registered", sweep.registered["uri"]
    if sweep.mlflow:
        yield "mlflow", f"{sweep.mlflow['tracking_uri']} experiment {sweep.mlflow['experiment_id']}"
    yield "checkpoints", f"{counted(status.checkpoint_files, 'file')}, {format_size(status.checkpoint_bytes)}"
    if status.unsent:
        yield "unsent", f"{counted(status.unsent, 'message')} to MLflow; send them with: meltpoint sync"


def _data_lines(sweep: Sweep) -> Iterator[tuple[str, str]]:
    data = sweep.data
    resized = f"{data['image_size']} px, {data.get('interpolation', 'bilinear')}"
    yield "data", f"{data['name']}, {data['images']} images at {resized}, digest {data['digest'][:12]}"
    yield from (("skipped", f"{name}: {reason}") for name, reason in data.get("skipped", {}).items())
