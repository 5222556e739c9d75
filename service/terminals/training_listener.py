"""A listener that shows on a console how a training by a recipe goes."""

from __future__ import annotations

from rich.console import Console
from rich.status import Status

from service.terminals.hints import repeat_options

__all__ = ["ConsoleTrainingListener"]

_SHOWN = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")


class ConsoleTrainingListener:
    """Shows activities as a spinner on a terminal, and epochs and notices as lines. Use as a context."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None

    def __enter__(self) -> ConsoleTrainingListener:
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def working(self, activity: str) -> None:
        """Show a spinner with the activity."""
        if not self._console.is_terminal:
            return
        if self._status is None:
            self._status = self._console.status(activity)
            self._status.start()
        self._status.update(activity)

    def images_decoded(self, done: int, total: int) -> None:
        """Show how many images are decoded."""
        self.working(f"decoding images ({done:,} of {total:,})")

    def notice(self, text: str) -> None:
        """Print a line."""
        self._console.print(repeat_options(text), style="yellow", markup=False, soft_wrap=True)

    def epoch_ended(self, epoch: int, epochs: int, values: dict[str, float], seconds: float) -> None:
        """Print a line."""
        shown = "  ".join(f"{name} {values[name]:.4f}" for name in _SHOWN if name in values)
        self._console.print(f"epoch {epoch}/{epochs}  {shown}  {seconds:.1f} s", markup=False, soft_wrap=True)
