"""What a sweep shows while it runs: a table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from service.coordination import Coordinator
from service.ledgers import Trial, TrialState

LINE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The sweep at one moment."""

    states: dict[TrialState, int]
    planned: int
    epochs: int
    elapsed: float
    best: Trial | None
    running: tuple[Trial, ...]
    epochs_each: int
    metric: str
    closing: str | None
    wall: float | None = None

    @classmethod
    def of(cls, coordinator: Coordinator) -> Snapshot:
        return cls(
            states=dict(coordinator.progress.states),
            planned=coordinator.planned,
            epochs=coordinator.progress.epochs,
            elapsed=coordinator.elapsed,
            best=coordinator.progress.best,
            running=tuple(coordinator.running),
            epochs_each=coordinator.spec.budget.epochs,
            metric=coordinator.sweep.metric,
            closing=coordinator.closing,
            wall=coordinator.spec.budget.wall,
        )

    @property
    def finished(self) -> int:
        return sum(count for state, count in self.states.items() if state.is_finished)

    @property
    def rate(self) -> float:
        """Epochs a second since the start."""
        return self.epochs / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """From the epochs that a finished trial took on average, and the wall budget; None until one has finished."""
        if not self.finished or not self.rate:
            return None
        underway = sum(trial.epochs for trial in self.running)
        each = (self.epochs - underway) / self.finished
        wanted = each * (self.planned - self.finished) - underway
        left = max(0.0, wanted / self.rate)
        return left if self.wall is None else min(left, max(0.0, self.wall - self.elapsed))

    def summary(self) -> str:
        """The line for a log."""
        counts = ", ".join(f"{n} {state}" for state, n in self.states.items() if n)
        best = "" if self.best is None else f"; best {self.metric} {self.best.best_value:.4f} ({self.best.id})"
        left = "" if self.seconds_left is None else f"; about {clock_time(self.seconds_left)} left"
        return f"{self.finished}/{self.planned} trials ({counts}); {self.rate:.2f} epochs/s{best}{left}"


class LiveView:
    """Shows a coordinator's progress on stderr until it is left."""

    def __init__(self, coordinator: Coordinator, console: Console) -> None:
        self._session, self._console = coordinator, console
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=2, transient=True)
        self._stop = threading.Event()
        self._printer = threading.Thread(target=self._print_lines, name="progress", daemon=True)

    def __enter__(self) -> LiveView:
        if self._console.is_terminal:
            self._live.start()
        else:
            self._printer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()
        else:
            self._stop.set()
            self._printer.join()

    def _print_lines(self) -> None:
        last, said = "", time.monotonic()
        while not self._stop.wait(0.5):
            snapshot = Snapshot.of(self._session)
            state = f"{snapshot.finished} {snapshot.epochs}"
            if state != last and time.monotonic() - said >= LINE_SECONDS:
                last, said = state, time.monotonic()
                self._console.print(snapshot.summary(), highlight=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        return render(Snapshot.of(self._session))


def render(snapshot: Snapshot) -> RenderableType:
    """The live table."""
    head = Table.grid(padding=(0, 2))
    counts = "  ".join(f"{state} {n}" for state, n in snapshot.states.items() if n)
    left = "" if snapshot.seconds_left is None else f"about {clock_time(snapshot.seconds_left)} left"
    bar = ProgressBar(total=max(snapshot.planned, 1), completed=snapshot.finished, width=30)
    head.add_row(bar, f"{snapshot.finished}/{snapshot.planned} trials", clock_time(snapshot.elapsed), left)
    lines: list[RenderableType] = [head, Text(f"{counts}    {snapshot.rate:.2f} epochs/s", style="dim")]
    if snapshot.best is not None:
        text = f"best {snapshot.metric} {snapshot.best.best_value:.4f}  {describe(snapshot.best)}"
        lines.append(Text(text, style="green"))
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column in ("running", "epoch", snapshot.metric, "recipe"):
        table.add_column(column)
    for trial in snapshot.running:
        value = "" if trial.best_value is None else f"{trial.best_value:.4f}"
        table.add_row(trial.id, f"{trial.epochs}/{snapshot.epochs_each}", value, describe(trial))
    lines.append(table)
    if snapshot.closing:
        lines.append(Text(f"ending: {snapshot.closing}", style="yellow"))
    return Group(*lines)


def describe(trial: Trial) -> str:
    """A recipe in a few words."""
    r = trial.recipe
    return (
        f"freeze {r['freeze_depth']}, {r['optimizer.name']} lr {r['optimizer.lr']:.2g}, "
        f"dropout {r['dropout.rate']:.2g}, {r['augment.policy']}"
    )


def clock_time(seconds: float) -> str:
    """Such as `4:07` or `1:02:30`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
