"""Listeners, which hear from a driver how its sweep goes: a terminal, a log, a stream of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from search_spaces import BudgetSpec
from service.ledgers import Trial
from service.runs.outcomes import Outcome
from service.runs.snapshots import Snapshot

if TYPE_CHECKING:  # importing it loads NumPy, which a listener does not need
    from service.confirmations import Confirmation

__all__ = ["Listener", "Phase", "SilentListener", "SweepStart", "in_phase"]


class Phase(StrEnum):
    """A step of a sweep that takes a moment, in the words that a user reads."""

    STARTING_RAY = "starting Ray"
    LOADING_TORCH = "loading torch"
    CHECKING_WEIGHTS = "checking weights"
    DECODING_IMAGES = "decoding images"
    MEASURING_MODELS = "measuring models"
    TESTING = "reading the best model on the test images"
    READING_TEST = "reading winner and default on the test images"
    WRITING_MLFLOW = "writing MLflow"


@dataclass(frozen=True, kw_only=True)
class SweepStart:
    """A sweep that begins to train.

    trials: the most there may be. epochs: the most of one trial. slots: trials at once. device: of every trial.
    """

    sweep_id: str
    name: str
    trials: int
    epochs: int
    slots: int
    device: str


class Listener(Protocol):
    """Hears how a sweep goes. No method may raise or wait for long.

    The driver's main thread calls all methods but `notice`, `trial_ended` and `budget_changed`, which may also come
    from the threads of Ray Tune's loop. Phases do not overlap. `training_started` comes between phases, and again if a
    budget grows after the last trial. `result_known` comes before the last phase, `sweep_ended` comes last; a sweep
    that ends with an exception has neither.
    """

    def phase_started(self, phase: Phase) -> None:
        """Take note that a phase begins."""

    def phase_advanced(self, phase: Phase, done: int, total: int) -> None:
        """Take note that `done` of `total` parts of the phase are done; only some phases count."""

    def phase_ended(self, phase: Phase) -> None:
        """Take note that the phase is over, also by an exception."""

    def image_skipped(self, name: str, reason: str) -> None:
        """Take note of an image that cannot be read, and that the sweep leaves out."""

    def sweep_started(self, start: SweepStart) -> None:
        """Take note of the sweep; it has an id from here on."""

    def training_started(self, take_snapshot: Callable[[], Snapshot]) -> None:
        """Take note that trials run now; `take_snapshot` may be called from any thread until `training_ended`."""

    def trial_ended(self, trial: Trial) -> None:
        """Take note of a trial that has come to its end; a paused one has not."""

    def training_ended(self) -> None:
        """Take note that no trial runs any longer."""

    def notice(self, text: str) -> None:
        """Take a warning that a user should see, such as a trial that is tried again."""

    def budget_changed(self, budget: BudgetSpec) -> None:
        """Take note of another budget, with which the sweep goes on."""

    def signal_received(self, name: str) -> None:
        """Take note of a first SIGINT or SIGTERM, by which running trials are paused."""

    def confirmation_started(self, confirmation: Confirmation) -> None:
        """Take note that the best recipes and the default are trained anew."""

    def decided(self, confirmation: Confirmation) -> None:
        """Take note of the decision of a confirmation; the test images are read afterwards."""

    def result_known(self, outcome: Outcome) -> None:
        """Take note of the sweep's result, before its model is exported and MLflow has everything."""

    def sweep_ended(self, outcome: Outcome) -> None:
        """Take note of how the sweep ended."""


class SilentListener:
    """Takes note of nothing."""

    def phase_started(self, phase: Phase) -> None:
        """Do nothing."""

    def phase_advanced(self, phase: Phase, done: int, total: int) -> None:
        """Do nothing."""

    def phase_ended(self, phase: Phase) -> None:
        """Do nothing."""

    def image_skipped(self, name: str, reason: str) -> None:
        """Do nothing."""

    def sweep_started(self, start: SweepStart) -> None:
        """Do nothing."""

    def training_started(self, take_snapshot: Callable[[], Snapshot]) -> None:
        """Do nothing."""

    def trial_ended(self, trial: Trial) -> None:
        """Do nothing."""

    def training_ended(self) -> None:
        """Do nothing."""

    def notice(self, text: str) -> None:
        """Do nothing."""

    def budget_changed(self, budget: BudgetSpec) -> None:
        """Do nothing."""

    def signal_received(self, name: str) -> None:
        """Do nothing."""

    def confirmation_started(self, confirmation: Confirmation) -> None:
        """Do nothing."""

    def decided(self, confirmation: Confirmation) -> None:
        """Do nothing."""

    def result_known(self, outcome: Outcome) -> None:
        """Do nothing."""

    def sweep_ended(self, outcome: Outcome) -> None:
        """Do nothing."""


@contextmanager
def in_phase(listener: Listener, phase: Phase) -> Iterator[None]:
    """Tell the listener of a phase that lasts while this is entered."""
    listener.phase_started(phase)
    try:
        yield
    finally:
        listener.phase_ended(phase)
