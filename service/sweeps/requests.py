"""Requests about sweeps as one interface: on a home, in this process, or to a service, over HTTP."""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from service.exports import RecipeFile
from service.ledgers import Event, Promotion, Sweep, SweepAction, SweepState
from service.promotions import MovedAlias, PromotionOutcome
from service.reports import Comparison, Leaderboard, RetrainingResult
from service.runs.kept_checkpoints import SweepFiles
from service.sweeps.changes import DeletedSweep
from service.sweeps.listing import SweepSummary
from service.sweeps.queue import QueueEntry
from service.sweeps.status import SweepStatus

if TYPE_CHECKING:  # importing it loads NumPy
    from service.confirmations import Confirmation
    from service.sweep_reports import SweepReport

__all__ = ["Submission", "SweepRequests"]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A sweep to submit.

    text: of the sweep file. file: its path, from which relative paths in it start. assign: changes as `KEY=VALUE`.
    priority: a higher one goes first. slot_cap: most trials at once, None for no limit. key: makes a repeated
    submission return the sweep of the first.
    """

    text: str
    file: str
    assign: tuple[str, ...] = ()
    priority: int = 0
    slot_cap: int | None = None
    key: str | None = None


class SweepRequests(ABC):
    """Requests of users about sweeps; a `reference` is an id, a unique prefix, a name or `last`.

    Ownership: `close`, or the end of a `with` block, releases what an instance has opened.
    Thread safety: a method may be called while another thread reads `events` or `logs`; otherwise one thread at a time.

    Raises (any method with a reference): SweepNotFoundError if no sweep goes by it, or only a sweep of somebody else.
    Raises (any method, remote only): UnavailableError if the service does not answer, UnauthenticatedError if it does
    not take the token, ForbiddenError if the user's role does not allow the request.
    """

    is_remote: bool
    """True if a service answers, which goes on with an interrupted sweep by itself."""

    @property
    @abstractmethod
    def place(self) -> str:
        """The folder or the service that the requests act on, for people."""

    @property
    @abstractmethod
    def mlflow_address(self) -> str | None:
        """The address of MLflow's server for browsers; None if MLflow's store is a file, which no server shows."""

    @abstractmethod
    def user(self) -> str | None:
        """Return the name under which sweeps are submitted; None on a home."""

    @abstractmethod
    def list(
        self,
        *,
        states: Collection[SweepState] | None = None,
        name: str | None = None,
        owner: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> builtins.list[SweepSummary]:
        """Return sweeps, newest first.

        states: states to keep; by default all. name, owner: exact values to keep. limit: most sweeps to return.
        after: id of the last sweep of the page before.
        """

    @abstractmethod
    def find(self, reference: str) -> Sweep:
        """Return a sweep's row."""

    @abstractmethod
    def status(self, reference: str) -> SweepStatus:
        """Return how a sweep stands."""

    @abstractmethod
    def leaderboard(self, reference: str, *, readings_of: int | None = None) -> Leaderboard:
        """Return a sweep's trials, best first.

        readings_of: number of best trials whose readings are wanted; None for all. There may be more.
        """

    @abstractmethod
    def report(self, reference: str) -> SweepReport:
        """Return the numbers behind a sweep's report, in any state of the sweep."""

    @abstractmethod
    def report_page(self, reference: str, *, with_images: bool = True) -> str:
        """Return a sweep's report as an HTML page that needs no other file.

        with_images: show training images and worst mistakes, if the prepared images are at hand; a service shows none.
        """

    @abstractmethod
    def compare(self, first: str, second: str) -> Comparison:
        """Return what differs between two sweeps."""

    @abstractmethod
    def spec(self, reference: str) -> str:
        """Return the text of the sweep's file, with all changes of its submission and its resumes."""

    @abstractmethod
    def recipe(self, reference: str) -> RecipeFile:
        """Return the recipe file of a sweep: of its confirmed winner, else of its best trial.

        Raises:
            UsageError: the sweep is under way, or none of its trials has finished with a score.
        """

    @abstractmethod
    def submit(self, submission: Submission) -> Sweep:
        """Hand a sweep to a service, and return it as soon as the service has accepted it.

        Raises:
            SpecError: the sweep file has problems; the error has all of them.
            MeltpointError: the service refuses the sweep, for its data or weights for instance.
            ConflictError: the key was used for another submission.
            QuotaError: the user has reached a limit.
            TooLargeError: the sweep file is too large.
            UnavailableError: no service runs that would drive the sweep.
        """

    @abstractmethod
    def act(self, reference: str, action: SweepAction) -> Sweep:
        """Ask for a pause, stop or cancel, and return the sweep as it stands then, without waiting.

        Raises:
            UsageError: the sweep has ended, or nothing runs that could be paused or stopped.
        """

    @abstractmethod
    def resume(self, reference: str, assign: Sequence[str] = ()) -> Sweep:
        """Queue a sweep again that was paused or interrupted, or that has finished and gets a larger budget.

        Raises:
            SpecError: an assignment is wrong.
            UsageError: the sweep runs, was cancelled or has nothing left to do, or a setting may not change.
            UnavailableError: no service runs that would drive the sweep.
        """

    @abstractmethod
    def confirm(self, reference: str, changes: Mapping[str, Any] | None = None) -> Sweep:
        """Queue the confirmation of a sweep whose search has ended; one that is under way or decided stays as it is.

        changes: settings of the rule, such as `seeds`, that differ from those of the sweep's confirmation, or of its
        file if it has none.

        Raises:
            UsageError: the search has not ended, or a setting is out of range.
            ConfirmationError: there is nothing to confirm.
            UnavailableError: no service runs that would drive the sweep.
        """

    @abstractmethod
    def confirmation(self, reference: str) -> Confirmation | None:
        """Return the confirmation of a sweep, decided or not; None if none has begun."""

    @abstractmethod
    def retrainings(self, reference: str) -> builtins.list[RetrainingResult]:
        """Return the retrainings of a sweep's confirmation, by number; none if none has begun."""

    @abstractmethod
    def change(
        self,
        reference: str,
        *,
        assign: Sequence[str] = (),
        priority: int | None = None,
        slot_cap: int | None = None,
    ) -> Sweep:
        """Change a sweep's budget, priority or slot cap, also while it runs; None leaves a value, 0 removes the cap.

        assign: changes of the budget as `KEY=VALUE`, such as `budget.trials=64`.

        Raises:
            SpecError: an assignment is wrong.
            ConflictError: the sweep was changed by somebody else just now.
            UsageError: the sweep has ended, or another setting than the budget would change.
        """

    @abstractmethod
    def promote(
        self,
        reference: str,
        *,
        alias: str = "champion",
        model: str | None = None,
        force: bool = False,
        unconfirmed: bool = False,
    ) -> PromotionOutcome:
        """Give the model of a sweep's confirmed recipe an alias, and return what became of it.

        The version that has the alias now is compared with the model on the same test images; a worse model is
        refused. If MLflow does not answer, the request is kept and sent later.

        model: name of the registered model; by default that of the sweep's candidate. force: promote also a worse
        model, or one that cannot be compared. unconfirmed: take the best of a search that was not confirmed.

        Raises:
            UsageError: the sweep is under way, unconfirmed or has no model, or a name cannot be used.
        """

    @abstractmethod
    def rollback(self, model: str, *, alias: str = "champion") -> Promotion:
        """Give an alias back to the version that had it before, and return the move.

        Raises:
            NotFoundError: nothing was promoted to the alias.
            UsageError: there is no earlier version.
            TrackingError: MLflow does not answer; nothing has changed then.
            ForbiddenError: the present version comes from the sweep of somebody else.
        """

    @abstractmethod
    def models(self) -> builtins.list[MovedAlias]:
        """Return the aliases that models were promoted to, the last moved first."""

    @abstractmethod
    def model_history(self, model: str) -> builtins.list[Promotion]:
        """Return the moves of a registered model's aliases, newest first. Raises NotFoundError if there are none."""

    @abstractmethod
    def files(self, reference: str) -> SweepFiles:
        """Return the files that a sweep has of its own; of a service's sweep only the checkpoints are known."""

    @abstractmethod
    def delete(self, reference: str, *, with_runs: bool = False) -> DeletedSweep:
        """Delete a sweep that no process drives, with its trials and checkpoints, and return what it was.

        MLflow keeps its registered models, and its runs too unless `with_runs`.

        Raises:
            UsageError: a process drives the sweep, or is still sending MLflow its end after some seconds; or a service
                is asked to delete runs.
            TrackingError: MLflow does not delete the runs; the sweep is kept.
            HomeError: a file cannot be removed; the sweep is kept.
        """

    @abstractmethod
    def events(self, reference: str, *, after: int = 0, follow: bool = False) -> Iterator[Event]:
        """Yield a sweep's events whose ids are larger than `after`, in their order.

        follow: wait for further events until the sweep has ended and its model is registered, or nothing has come for
        a minute since it ended.
        """

    @abstractmethod
    def logs(self, reference: str, *, follow: bool = False) -> Iterator[str]:
        """Yield a sweep's log line by line; follow: as for `events`."""

    @abstractmethod
    def queue(self) -> builtins.list[QueueEntry]:
        """Return the sweeps under way: first those that run, then those that wait, in the order of their start."""

    @abstractmethod
    def close(self) -> None:
        """Release what was opened."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
