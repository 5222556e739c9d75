"""Print data on stdout in the requested format, and everything else on stderr."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from service.formats import Format
from service.logs import is_debug_enabled

if TYPE_CHECKING:
    from rich.progress import Progress

_GAP = 2
_LEAST_SECONDS = 1.0


def stderr() -> Console:
    """Return a console for progress and messages; colours only on a terminal and without NO_COLOR."""
    return Console(stderr=True, highlight=False)


def stdout() -> Console:
    """Return a console for data; colours only on a terminal and without NO_COLOR."""
    return Console(highlight=False)


def print_data(data: Any, form: Format) -> None:
    """Print plain data as JSON, YAML, or (a list of flat objects, or one) CSV."""
    if form is Format.JSON:
        sys.stdout.write(json.dumps(data, indent=2, allow_nan=False) + "\n")
    elif form is Format.YAML:
        from ruamel.yaml import YAML

        YAML(typ="safe", pure=True).dump(data, sys.stdout)
    else:
        sys.stdout.write(_as_csv(data if isinstance(data, list) else [data]))


def print_line(text: str) -> None:
    """Print a sentence on stdout as it is."""
    stdout().print(text, markup=False, highlight=False, soft_wrap=True)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, least: int = 4) -> None:
    """Print a table, a row a line. On a terminal too narrow for it, leave out columns from the right, and name them.

    least: number of columns that even the narrowest terminal shows.
    """
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    shown = len(header)
    console = stdout()
    if console.is_terminal:
        while shown > least and sum(widths[:shown]) + _GAP * (shown - 1) > console.width:
            shown -= 1
    lines = [
        (" " * _GAP).join(cell.ljust(width) for cell, width in zip(row[:shown], widths, strict=False)).rstrip()
        for row in (header, *rows)
        if any(row)
    ]
    if any(header):
        console.print(lines.pop(0), style="bold", markup=False, soft_wrap=True)
    # All at once and unstyled: rich takes its time over each `print`, which a thousand rows would add up.
    if lines:
        console.out("\n".join(lines), highlight=False)
    if shown < len(header):
        stderr().print(f"left out for lack of width: {', '.join(header[shown:])}", style="dim", soft_wrap=True)


@contextmanager
def own_stdout() -> Iterator[None]:
    """Keep stdout for our data: drop what libraries print there, or send it to stderr with `--debug`."""
    if is_debug_enabled():
        with redirect_stdout(sys.stderr):
            yield
    else:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            yield


@contextmanager
def working(console: Console, activity: str) -> Iterator[None]:
    """Show an activity that takes a moment: a spinner with its seconds on a terminal, nothing elsewhere."""
    with _spinner(console, activity):
        yield


@contextmanager
def step(console: Console, activity: str) -> Iterator[None]:
    """Show a step of a command as `working` does; if it took a second or more, leave a line with its seconds."""
    started = time.monotonic()
    with _spinner(console, activity):
        yield
    print_step(console, activity, time.monotonic() - started)


def print_step(console: Console, activity: str, seconds: float) -> None:
    """Print a line with the seconds of a step, unless it took less than one."""
    if seconds >= _LEAST_SECONDS:
        console.print(f"{activity}: {seconds:.1f} s", style="dim", markup=False, soft_wrap=True)


def make_progress(console: Console, activity: str, *, counts: bool = False) -> Progress:
    """Return a spinner with its seconds, or a bar if the activity counts, for a terminal; it vanishes at its end."""
    from rich import progress as parts

    text = parts.TextColumn("{task.description}")
    columns: tuple[parts.ProgressColumn, ...] = parts.SpinnerColumn(), text, parts.TimeElapsedColumn()
    if counts:
        columns = text, parts.BarColumn(), parts.MofNCompleteColumn(), parts.TimeRemainingColumn()
    progress = parts.Progress(*columns, console=console, transient=True)
    progress.add_task(activity, total=None)
    return progress


def _spinner(console: Console, activity: str) -> AbstractContextManager[object]:
    return make_progress(console, activity) if console.is_terminal else nullcontext()


def _as_csv(rows: Sequence[dict[str, Any]]) -> str:
    flat = [_flatten(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()


def _flatten(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        flat |= _flatten(inner, f"{prefix}{name}.") if isinstance(inner, dict) else {f"{prefix}{name}": inner}
    return flat
