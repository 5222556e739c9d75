"""A view of a sweep that runs elsewhere: progress, first result, leaderboard, and the registered model."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.status import Status
from rich.text import Text

from search_spaces import MeltpointError
from service.formats import counted
from service.ledgers import Event, EventKind, Json, Sweep, SweepState
from service.reports import Leaderboard
from service.runs import Phase
from service.sweeps import SweepProgress, SweepRequests, describe_changes, describe_confirming
from service.terminals.live_views import LiveView

__all__ = ["FollowView", "exit_code"]

EXIT_FAILED, EXIT_NOT_FINISHED, EXIT_CANCELLED = 100, 101, 103

LOOK_SECONDS = 2.0
"""Time between two looks at facts that events do not carry: the reason of waiting, and recipes of trials."""

_TICK_SECONDS = 0.25
_AFTER_TRAINING = frozenset({Phase.TESTING.value, Phase.READING_TEST.value, Phase.WRITING_MLFLOW.value})


def exit_code(sweep: Sweep) -> int:
    """Return the exit code that tells how a sweep stands: 0, 100 failed, 101 not finished, 103 cancelled."""
    if sweep.state in (SweepState.COMPLETED, SweepState.STOPPED):
        return 0
    if sweep.state is SweepState.FAILED:
        return EXIT_FAILED
    return EXIT_CANCELLED if sweep.state is SweepState.CANCELLED else EXIT_NOT_FINISHED


class FollowView:
    """Shows a sweep from its first event until it has ended and its model is registered.

    Ownership: borrows the requests. Thread safety: one thread calls `run`; another of its own reads the events.

    Args:
        requests: answers about the sweep.
        sweep: the sweep as it stands.
        console: for everything but the leaderboard.
        show_board: prints the leaderboard, once, as soon as training has ended.
        shows_summary: print a decision in one sentence; False if the caller prints the whole of it after `run`.
        since: UTC milliseconds since 1970; nothing of earlier events is shown, nor the leaderboard, because a
            confirmation of a finished search is followed. None to show all.
    """

    def __init__(
        self,
        requests: SweepRequests,
        sweep: Sweep,
        console: Console,
        *,
        show_board: Callable[[Leaderboard], None],
        shows_summary: bool = True,
        since: int | None = None,
    ) -> None:
        self._requests, self._sweep, self._console, self._show_board = requests, sweep, console, show_board
        self._shows_summary, self._since = shows_summary, since
        self.has_shown_model = since is not None
        """True if the registered model is named, or not to be named."""
        self._progress = SweepProgress(sweep)
        self._arrivals: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()
        self._view: LiveView | None = None
        self._status: Status | None = None
        self._waits_for: str | None = None
        self._has_said_running = self._has_shown_board = self._has_result = since is not None
        self._is_confirming = self._is_decided = False
        self._looked_at = 0.0

    def run(self) -> Sweep:
        """Follow the sweep to its end, and return its last row.

        Raises:
            KeyboardInterrupt: the user has pressed Ctrl-C; the sweep goes on.
            MeltpointError: the sweep was deleted, or the service no longer answers.
        """
        threading.Thread(target=self._read, name="events", daemon=True).start()
        try:
            with self._interrupts_in_order():
                self._follow()
        finally:
            self._end_training()
            self._set_phase(None)
        sweep = self._requests.find(self._sweep.id)
        if sweep.started_at is not None:
            self._show_leaderboard()
        return sweep

    def _follow(self) -> None:
        """Show what arrives, until the stream of events ends."""
        while True:
            try:
                arrival = self._arrivals.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                self._look()
                continue
            if isinstance(arrival, BaseException):
                raise arrival
            if arrival is None:
                return
            self._show(arrival)
            if self._arrivals.empty():
                self._look()

    @contextmanager
    def _interrupts_in_order(self) -> Iterator[None]:
        """Take the first Ctrl-C between two events, so that it never breaks into a line; a second one acts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(_number: int, _frame: FrameType | None) -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._arrivals.put(KeyboardInterrupt())

        before = signal.signal(signal.SIGINT, handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _read(self) -> None:
        """Put every event into the queue, then None, or the error that ended the stream."""
        try:
            for event in self._requests.events(self._sweep.id, follow=True):
                self._arrivals.put(event)
            self._arrivals.put(None)
        except BaseException as error:
            self._arrivals.put(error)

    def _show(self, event: Event) -> None:
        self._progress.apply(event)
        if event.at < (self._since or 0):
            return
        payload = event.payload
        match event.kind:
            case EventKind.SWEEP_STATE:
                self._show_state()
            case EventKind.PHASE:
                self._show_phase(payload)
            case EventKind.TRIAL_STARTED:
                self._begin_training()
            case EventKind.TRIAL_REPORTED:
                self._show_first_result(event)
            case EventKind.TRIAL_ENDED if self._progress.has_trained and not self._is_replaying:
                self._end_training()
                self._show_leaderboard()
            case EventKind.NOTICE:
                self._print(str(payload.get("text")), style="yellow")
            case EventKind.SWEEP_CHANGED:
                self._print(describe_changes(payload))
                self._has_shown_board = self._since is not None  # there may be further trials
            case EventKind.IMAGE_SKIPPED:
                self._print(f"skipped {payload.get('name')}: {payload.get('reason')}", style="yellow")
            case EventKind.CONFIRMING | EventKind.DECIDED:
                self._show_confirmation(event)
            case EventKind.REGISTERED:
                self._show_model(payload)

    def _show_confirmation(self, event: Event) -> None:
        """Show that a confirmation begins, behind the leaderboard of the search, or sum up its decision."""
        self._end_training()
        self._is_confirming = event.kind is EventKind.CONFIRMING
        if self._is_confirming:
            self._show_leaderboard()
            self._print(describe_confirming(event.payload))
            return
        self._is_decided = True
        if self._shows_summary:
            self._print(str(event.payload.get("summary")), style="bold")

    def _show_model(self, payload: Json) -> None:
        """Name the registered model, unless it belongs below a decision, where the caller names it."""
        self._set_phase(None)
        if not self._is_decided and self._since is None:
            self.has_shown_model = True
            self._print(f"registered {payload.get('uri')}{_version(payload)}")

    def _show_state(self) -> None:
        state = self._progress.state
        if state is SweepState.RUNNING and not self._has_said_running:
            self._has_said_running = True
            self._set_phase(None)
            settings = self._sweep.settings
            trials, epochs = int(settings.get("budget.trials", 0)), int(settings.get("budget.epochs", 0))
            facts = f" ({self._sweep.name}): {counted(trials, 'trial')} of up to {counted(epochs, 'epoch')}"
            self._console.print(Text.assemble("sweep ", (self._sweep.id, "bold"), facts), soft_wrap=True)
        elif not state.is_under_way:
            self._end_training()
            if self._progress.has_trials and not self._is_replaying:
                self._show_leaderboard()
            if state in (SweepState.COMPLETED, SweepState.STOPPED):
                self._set_phase("registering the best model")

    def _show_phase(self, payload: Json) -> None:
        phase = str(payload.get("phase"))
        if phase in _AFTER_TRAINING:
            self._end_training()
            if not self._is_replaying:
                self._show_leaderboard()
        done, total = payload.get("done"), payload.get("total")
        self._set_phase(phase if not total else f"{phase}: {done} of {total}")

    def _show_first_result(self, event: Event) -> None:
        if self._has_result:
            return
        self._has_result = True
        value = event.payload.get("value")
        if isinstance(value, int | float):
            seconds = self._progress.elapsed
            self._print(f"first result after {seconds:.1f} s: {self._sweep.metric} {value:.4f} ({event.trial_id})")

    def _begin_training(self) -> None:
        if self._view is None and (self._is_confirming or not self._has_shown_board):
            self._set_phase(None)
            self._view = LiveView(self._progress.snapshot, self._console)
            self._view.start()

    def _end_training(self) -> None:
        if self._view is not None:
            self._view.stop()
        self._view = None

    def _show_leaderboard(self) -> None:
        if not self._has_shown_board:
            self._has_shown_board = True
            self._set_phase(None)
            self._show_board(self._requests.leaderboard(self._sweep.id))

    @property
    def _is_replaying(self) -> bool:
        """True if further events are there already, so that what this one tells of may be over."""
        return not self._arrivals.empty()

    def _look(self) -> None:
        """Fetch what events do not carry, every two seconds."""
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        waits = self._progress.state in (SweepState.VALIDATING, SweepState.QUEUED)
        lacks_recipes = self._view is not None and self._console.is_terminal and self._progress.lacks_recipes
        if not waits and not lacks_recipes:
            return
        self._looked_at = time.monotonic()
        try:
            if waits:
                self._show_waiting(self._requests.find(self._sweep.id).waiting_for)
            else:
                self._progress.add_recipes(self._read_recipes())
        except MeltpointError:
            return  # the stream of events tells of anything that lasts

    def _read_recipes(self) -> dict[str, Json]:
        """Return the recipes of the sweep's trials, or of its retrainings, by id."""
        if self._progress.is_confirming:
            retrainings = self._requests.retrainings(self._sweep.id)
            return {retraining.trial_id: retraining.recipe for retraining in retrainings}
        return {trial.id: trial.recipe for trial in self._requests.leaderboard(self._sweep.id).trials}

    def _show_waiting(self, reason: str | None) -> None:
        if reason != self._waits_for and reason:
            self._print(f"{self._sweep.id} waits: {reason}", style="dim")
        self._waits_for = reason

    def _set_phase(self, phase: str | None) -> None:
        """Show a spinner with this text on a terminal, or remove it."""
        if self._status is not None and phase is not None:
            self._status.update(phase)
        elif self._status is not None:
            self._status.stop()
            self._status = None
        elif phase is not None and self._console.is_terminal and self._view is None:
            self._status = self._console.status(phase)
            self._status.start()

    def _print(self, text: str, style: str | None = None) -> None:
        self._console.print(text, style=style, markup=False, soft_wrap=True)


def _version(payload: Json) -> str:
    version = payload.get("version")
    return "" if version is None else f" (version {version}, unconfirmed)"
