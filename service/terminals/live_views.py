"""Views of a sweep that runs: a table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from service.runs import Snapshot
from service.terminals.recipes import recipe_summary

LINE_SECONDS = 10.0


class LiveView:
    """Shows the progress of a sweep from `start` to `stop`."""

    def __init__(self, take_snapshot: Callable[[], Snapshot], console: Console) -> None:
        self._take_snapshot, self._console = take_snapshot, console
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=2, transient=True)
        self._stop = threading.Event()
        self._printer = threading.Thread(target=self._print_lines, name="progress", daemon=True)

    def start(self) -> None:
        """Begin to show it."""
        if self._console.is_terminal:
            self._live.start()
        else:
            self._printer.start()

    def stop(self) -> None:
        """Show nothing more."""
        if self._console.is_terminal:
            self._live.stop()
        else:
            self._stop.set()
            self._printer.join()

    def _print_lines(self) -> None:
        last, printed_at = (0, 0), time.monotonic()
        while not self._stop.wait(0.5):
            snapshot = self._take_snapshot()
            state = snapshot.finished, snapshot.epochs
            if state != last and time.monotonic() - printed_at >= LINE_SECONDS:
                last, printed_at = state, time.monotonic()
                self._console.print(summarize(snapshot), highlight=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        return render(self._take_snapshot())


def summarize(snapshot: Snapshot) -> str:
    """Return the line for a log."""
    counts = ", ".join(f"{n} {state}" for state, n in snapshot.states.items() if n)
    best = (
        "" if snapshot.best is None else f"; best {snapshot.metric} {snapshot.best.best_value:.4f} ({snapshot.best.id})"
    )
    left = "" if snapshot.seconds_left is None else f"; about {clock_time(snapshot.seconds_left)} left"
    return (
        f"{snapshot.finished}/{snapshot.planned} {snapshot.noun} ({counts}); {snapshot.rate:.2f} epochs/s{best}{left}"
    )


def render(snapshot: Snapshot) -> RenderableType:
    """Return the live table."""
    head = Table.grid(padding=(0, 2))
    counts = "  ".join(f"{state} {n}" for state, n in snapshot.states.items() if n)
    left = "" if snapshot.seconds_left is None else f"about {clock_time(snapshot.seconds_left)} left"
    bar = ProgressBar(total=max(snapshot.planned, 1), completed=snapshot.finished, width=30)
    head.add_row(bar, f"{snapshot.finished}/{snapshot.planned} {snapshot.noun}", clock_time(snapshot.elapsed), left)
    lines: list[RenderableType] = [head, Text(f"{counts}    {snapshot.rate:.2f} epochs/s", style="dim")]
    if snapshot.best is not None:
        text = f"best {snapshot.metric} {snapshot.best.best_value:.4f}  {recipe_summary(snapshot.best.recipe)}"
        lines.append(Text(text, style="green"))
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column in ("running", "epoch", snapshot.metric, "recipe"):
        table.add_column(column)
    for trial in snapshot.running:
        value = "" if trial.best_value is None else f"{trial.best_value:.4f}"
        table.add_row(trial.id, f"{trial.epochs}/{snapshot.epochs_each}", value, recipe_summary(trial.recipe))
    lines.append(table)
    if snapshot.closing:
        lines.append(Text(f"ending: {snapshot.closing}", style="yellow"))
    return Group(*lines)


def clock_time(seconds: float) -> str:
    """Return a duration such as `4:07` or `1:02:30`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
