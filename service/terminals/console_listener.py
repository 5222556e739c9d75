"""A listener that shows on a console how a sweep goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from search_spaces import BudgetSpec
from service.formats import counted
from service.ledgers import Trial
from service.runs import Outcome, Phase, Snapshot, SweepStart
from service.sweeps import describe_confirming
from service.terminals.hints import repeat_options
from service.terminals.live_views import LINE_SECONDS, LiveView
from service.terminals.outputs import make_progress, print_step

if TYPE_CHECKING:
    from service.confirmations import Confirmation

__all__ = ["ConsoleListener"]


class ConsoleListener:
    """Shows phases as spinners or bars, the training as a live view, and everything else as lines.

    A phase of a second or more leaves a line with its seconds. Without a terminal there are no spinners, bars and live
    views, but a line now and then.
    """

    def __init__(
        self,
        console: Console,
        *,
        shows_summary: bool = True,
        show_result: Callable[[Outcome], None] = lambda _outcome: None,
    ) -> None:
        """Write to a console.

        shows_summary: print a decision in a line; False if the command prints the whole of it.
        show_result: prints a sweep's result, once it is known.
        """
        self._console, self._shows_summary, self._show_result = console, shows_summary, show_result
        self._bars: dict[Phase, Progress] = {}
        self._started: dict[Phase, float] = {}
        self._printed_at = 0.0
        self._view: LiveView | None = None

    def phase_started(self, phase: Phase) -> None:
        """Show a spinner, or a bar for a phase that counts."""
        self._started[phase] = self._printed_at = time.monotonic()
        if not self._console.is_terminal:
            return
        counts = phase in (Phase.DECODING_IMAGES, Phase.READING_TEST)
        bar = make_progress(self._console, phase.value, counts=counts)
        bar.start()
        self._bars[phase] = bar

    def phase_advanced(self, phase: Phase, done: int, total: int) -> None:
        """Move the bar; without a terminal print a line every ten seconds."""
        bar = self._bars.get(phase)
        if bar is not None:
            bar.update(bar.task_ids[0], completed=done, total=total)
        elif time.monotonic() - self._printed_at >= LINE_SECONDS:
            self._printed_at = time.monotonic()
            self._console.print(f"{phase.value}: {done:,} of {total:,}", soft_wrap=True)

    def phase_ended(self, phase: Phase) -> None:
        """Remove the spinner or the bar, and print how long the phase took."""
        bar = self._bars.pop(phase, None)
        if bar is not None:
            bar.stop()
        print_step(self._console, phase.value, time.monotonic() - self._started[phase])

    def image_skipped(self, name: str, reason: str) -> None:
        """Print a line."""
        self._console.print(Text.assemble(("skipped", "yellow"), f" {name}: {reason}"), soft_wrap=True)

    def sweep_started(self, start: SweepStart) -> None:
        """Print a line."""
        trials, epochs = counted(start.trials, "trial"), counted(start.epochs, "epoch")
        facts = f" ({start.name}): {trials} of up to {epochs}, {start.slots} at once on {start.device}"
        self._console.print(Text.assemble("sweep ", (start.sweep_id, "bold"), facts), soft_wrap=True)

    def training_started(self, take_snapshot: Callable[[], Snapshot]) -> None:
        """Show the live view."""
        self._view = LiveView(take_snapshot, self._console)
        self._view.start()

    def training_ended(self) -> None:
        """Remove the live view."""
        if self._view is not None:
            self._view.stop()
        self._view = None

    def trial_ended(self, trial: Trial) -> None:
        """Do nothing: the live view shows how many have ended."""

    def notice(self, text: str) -> None:
        """Print a line."""
        self._console.print(repeat_options(text), style="yellow", markup=False, soft_wrap=True)

    def budget_changed(self, budget: BudgetSpec) -> None:
        """Print a line."""
        values = budget.model_dump(exclude={"epochs"}, exclude_none=True)
        limits = ", ".join(f"{name} {value:g}" for name, value in values.items())
        self._console.print(f"the budget has changed: {limits}", style="yellow", markup=False, soft_wrap=True)

    def signal_received(self, name: str) -> None:
        """Print a line."""
        self._console.print(
            f"{name}: running trials end at their next report; a second signal ends them at once", soft_wrap=True
        )

    def confirmation_started(self, confirmation: Confirmation) -> None:
        """Print a line."""
        payload = {"finalists": len(confirmation.finalists), "seeds": confirmation.rule.seeds}
        self._console.print(describe_confirming(payload), markup=False)

    def decided(self, confirmation: Confirmation) -> None:
        """Print the decision in one line, unless the command prints the whole of it."""
        if not self._shows_summary:
            return
        from service.confirmations import summarize_decision  # importing it loads NumPy

        assert confirmation.decision is not None
        self._console.print(summarize_decision(confirmation.decision), style="bold", markup=False, soft_wrap=True)

    def result_known(self, outcome: Outcome) -> None:
        """Print the result."""
        self._show_result(outcome)

    def sweep_ended(self, outcome: Outcome) -> None:
        """Do nothing: the command prints the outcome."""
