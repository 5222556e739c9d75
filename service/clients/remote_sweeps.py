"""Requests about the sweeps of a service, sent over HTTP."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import httpx2

from search_spaces import SpecError
from service.clients.connections import Connection
from service.clients.submissions import send_submission
from service.errors import NotFoundError, ServiceError, SweepNotFoundError, UnavailableError, UsageError
from service.exports import RecipeFile
from service.ledgers import Event, EventKind, Promotion, Sweep, SweepAction, SweepState
from service.promotions import MovedAlias, PromotionOutcome, PromotionStatus
from service.reports import Comparison, Leaderboard, RetrainingResult
from service.schemas import (
    MLFLOW_PATH,
    AliasModel,
    AliasMoveModel,
    ComparisonModel,
    ConfirmationModel,
    EventModel,
    EventsModel,
    LeaderboardModel,
    NodeModel,
    Page,
    PromotionModel,
    QueueModel,
    RetrainingModel,
    StatusModel,
    SummaryModel,
    SweepModel,
)
from service.sweeps import (
    ConfirmationStatus,
    DeletedSweep,
    QueueEntry,
    Submission,
    SweepFiles,
    SweepRequests,
    SweepStatus,
    SweepSummary,
    is_over,
    log_line,
)

if TYPE_CHECKING:  # importing it loads NumPy
    from service.confirmations import Confirmation
    from service.sweep_reports import SweepReport

__all__ = ["RemoteSweeps"]

LONGEST_REFERENCE: Final = 128
PAGE: Final = 200
PROMOTION_PATIENCE_SECONDS: Final = 600.0
"""Time for which a promotion that is being carried out is asked for again."""

FOLLOW_PATIENCE_SECONDS: Final = 300.0
"""Time for which a follower tries to reach a service again."""

_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between tries to follow on; the last is used again and again."""
_KINDS: Final = frozenset(EventKind)


class RemoteSweeps(SweepRequests):
    """Asks a service. What it follows goes on where it was when the service has been started again.

    Ownership: borrows the connection. Thread safety: as the connection, any thread.

    Args:
        connection: to the service.
        clock: returns monotonic seconds.
        sleep: waits some seconds.
    """

    is_remote = True

    def __init__(
        self,
        connection: Connection,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection, self._clock, self._sleep = connection, clock, sleep

    @property
    def place(self) -> str:
        """The service."""
        return str(self._connection.context)

    @property
    def mlflow_address(self) -> str:
        """The address of the service's door to MLflow."""
        return self._connection.context.url.rstrip("/") + MLFLOW_PATH

    def user(self) -> str | None:
        """Return the name of the signed-in user."""
        return str(self._connection.get("/whoami")["user"])

    def list(
        self,
        *,
        states: Collection[SweepState] | None = None,
        name: str | None = None,
        owner: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> builtins.list[SweepSummary]:
        """Return sweeps, newest first."""
        summaries: builtins.list[SweepSummary] = []
        while limit is None or len(summaries) < limit:
            answer = self._connection.get(
                "/sweeps",
                state=None if states is None else [state.value for state in states],
                name=name,
                owner=owner,
                limit=PAGE if limit is None else min(PAGE, limit - len(summaries)),
                after=after,
            )
            page = Page[SummaryModel].model_validate(answer)
            for line in page.items:
                sweep, counts = line.to_records()
                summaries.append(SweepSummary(sweep=sweep, trial_counts=counts))
            after = page.next
            if after is None:
                break
        return summaries

    def find(self, reference: str) -> Sweep:
        """Return a sweep's row."""
        return self.read_sweep(self._connection.get(_path(reference)))

    def status(self, reference: str) -> SweepStatus:
        """Return how a sweep stands; checkpoints are those of the service's machine."""
        model = StatusModel.model_validate(self._connection.get(_path(reference, "status")))
        board, confirmation = model.leaderboard.to_record(self._url), model.confirmation
        return SweepStatus(
            sweep=board.sweep,
            board=board,
            trial_counts=model.trial_counts.to_record(),
            unsent=model.unsent,
            waiting=[waiting.to_record() for waiting in model.waiting],
            checkpoint_files=model.checkpoint_files,
            checkpoint_bytes=model.checkpoint_bytes,
            unlisted=model.unlisted or "",
            confirmation=None if confirmation is None else ConfirmationStatus(**confirmation.model_dump()),
        )

    def leaderboard(self, reference: str, *, readings_of: int | None = None) -> Leaderboard:
        """Return a sweep's trials, best first."""
        answer = self._connection.get(_path(reference, "leaderboard"), readings_of=readings_of)
        return LeaderboardModel.model_validate(answer).to_record(self._url)

    def report(self, reference: str) -> SweepReport:
        """Return the numbers behind a sweep's report."""
        from service.sweep_reports import SweepReport

        return SweepReport.model_validate(self._connection.get(_path(reference, "report")))

    def report_page(self, reference: str, *, with_images: bool = True) -> str:  # noqa: ARG002
        """Return a sweep's report as a page; a service shows no images."""
        return self._connection.get_text(_path(reference, "report.html"))

    def compare(self, first: str, second: str) -> Comparison:
        """Return what differs between two sweeps."""
        answer = self._connection.get("/comparison", first=first, second=second)
        return ComparisonModel.model_validate(answer).to_record(self._url)

    def spec(self, reference: str) -> str:
        """Return the text of the sweep's file."""
        return self._connection.get_text(_path(reference, "spec"))

    def recipe(self, reference: str) -> RecipeFile:
        """Return the recipe file of a sweep, with sources as its sweep file names them."""
        answer = self._connection.get(_path(reference, "recipe"))
        try:
            return RecipeFile.from_data(answer)
        except SpecError as error:
            raise ServiceError(
                f"{self._connection.context.title} sends a recipe that this version of Meltpoint cannot read: {error}"
            ) from None

    def submit(self, submission: Submission) -> Sweep:
        """Hand a sweep to the service; an answer that was lost is asked for again with the same key."""
        return self.read_sweep(send_submission(self._connection, **vars(submission)))

    def act(self, reference: str, action: SweepAction) -> Sweep:
        """Ask for a pause, stop or cancel."""
        return self.read_sweep(self._connection.post(_path(reference, action.value)))

    def resume(self, reference: str, assign: Sequence[str] = ()) -> Sweep:
        """Queue a sweep again."""
        return self.read_sweep(self._connection.post(_path(reference, "resume"), {"assign": [*assign]}))

    def confirm(self, reference: str, changes: Mapping[str, Any] | None = None) -> Sweep:
        """Queue a confirmation."""
        return self.read_sweep(self._connection.post(_path(reference, "confirm"), dict(changes or {})))

    def confirmation(self, reference: str) -> Confirmation | None:
        """Return the confirmation of a sweep."""
        from service.confirmations import Confirmation

        try:
            answer = self._connection.get(_path(reference, "confirmation"))
        except SweepNotFoundError:
            raise
        except NotFoundError:
            return None
        return Confirmation.from_json(ConfirmationModel.model_validate(answer).model_dump())

    def retrainings(self, reference: str) -> builtins.list[RetrainingResult]:
        """Return the retrainings of a sweep's confirmation."""
        page = Page[RetrainingModel].model_validate(self._connection.get(_path(reference, "retrainings")))
        return [model.to_record() for model in page.items]

    def change(
        self,
        reference: str,
        *,
        assign: Sequence[str] = (),
        priority: int | None = None,
        slot_cap: int | None = None,
    ) -> Sweep:
        """Change a sweep's budget, priority or slot cap."""
        body: dict[str, Any] = {} if priority is None else {"priority": priority}
        if assign:
            body["assign"] = [*assign]
        if slot_cap is not None:
            body["slot_cap"] = slot_cap or None
        return self.read_sweep(self._connection.patch(_path(reference), body)) if body else self.find(reference)

    def promote(
        self,
        reference: str,
        *,
        alias: str = "champion",
        model: str | None = None,
        force: bool = False,
        unconfirmed: bool = False,
    ) -> PromotionOutcome:
        """Give a sweep's model an alias; a promotion that takes long is asked for again, which changes nothing."""
        body = {"alias": alias, "model": model, "force": force, "unconfirmed": unconfirmed}
        deadline = self._clock() + PROMOTION_PATIENCE_SECONDS
        while True:
            answer = self._connection.post(_path(reference, "promotion"), body)
            outcome = PromotionModel.model_validate(answer).to_record()
            if outcome.status is not PromotionStatus.RUNNING or self._clock() > deadline:
                return outcome

    def rollback(self, model: str, *, alias: str = "champion") -> Promotion:
        """Give an alias back to the version that had it before."""
        answer = self._connection.post(f"{_model_path(model)}/rollback", {"alias": alias})
        return AliasMoveModel.model_validate(answer).to_record()

    def models(self) -> builtins.list[MovedAlias]:
        """Return the aliases that models were promoted to."""
        return [entry.to_record() for entry in Page[AliasModel].model_validate(self._connection.get("/models")).items]

    def model_history(self, model: str) -> builtins.list[Promotion]:
        """Return the moves of a registered model's aliases."""
        page = Page[AliasMoveModel].model_validate(self._connection.get(_model_path(model)))
        return [move.to_record() for move in page.items]

    def files(self, reference: str) -> SweepFiles:
        """Return the sweep's checkpoints."""
        status = self.status(reference)
        return SweepFiles(
            checkpoints=status.checkpoint_files,
            checkpoint_bytes=status.checkpoint_bytes,
            unlisted=status.unlisted,
        )

    def delete(self, reference: str, *, with_runs: bool = False) -> DeletedSweep:
        """Delete a sweep."""
        sweep = self.find(reference)
        if with_runs:
            raise UsageError(
                "a service keeps the runs of a deleted sweep: leave out --mlflow and delete them on MLflow's pages, or "
                f"type on the service's machine: meltpoint rm {sweep.id} --mlflow --home DIR"
            )
        files = self.files(sweep.id)
        self._connection.delete(_path(sweep.id))
        return DeletedSweep(sweep=sweep, files=files)

    def events(self, reference: str, *, after: int = 0, follow: bool = False) -> Iterator[Event]:
        """Yield a sweep's events; go on behind the last one if the connection breaks or the service restarts."""
        sweep_id = self.find(reference).id
        return self._followed(sweep_id, after) if follow else self._present_events(sweep_id, after)

    def logs(self, reference: str, *, follow: bool = False) -> Iterator[str]:
        """Yield a sweep's log line by line."""
        for event in self.events(reference, follow=follow):
            line = log_line(event)
            if line is not None:
                yield line

    def queue(self) -> builtins.list[QueueEntry]:
        """Return the sweeps under way and those that wait."""
        model = QueueModel.model_validate(self._connection.get("/queue"))
        return [QueueEntry(**entry.model_dump()) for entry in model.items]

    def nodes(self) -> builtins.list[NodeModel]:
        """Return the nodes that train for the service."""
        return QueueModel.model_validate(self._connection.get("/queue")).nodes

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _present_events(self, sweep_id: str, after: int) -> Iterator[Event]:
        while True:
            answer = self._connection.get(_path(sweep_id, "events"), after=after)
            page = EventsModel.model_validate(answer)
            if not page.items:
                return
            yield from (_record(model) for model in page.items if model.kind in _KINDS)
            after = page.next

    def _followed(self, sweep_id: str, after: int) -> Iterator[Event]:
        heard_at = answered_at = self._clock()
        tries = 0
        while True:
            error: Exception | None = None
            try:
                with self._open_stream(sweep_id, after) as events:
                    for model in events:
                        after, heard_at, tries = model.id, self._clock(), 0
                        if model.kind in _KINDS:
                            yield _record(model)
                if self._is_over(sweep_id, self._clock() - heard_at):
                    return
                answered_at = self._clock()
            except (httpx2.TransportError, UnavailableError) as broken:
                error = broken
            if error is not None and self._clock() - max(answered_at, heard_at) > FOLLOW_PATIENCE_SECONDS:
                raise error if isinstance(error, UnavailableError) else self._connection.unreachable(error)
            self._sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            tries += 1

    @contextmanager
    def _open_stream(self, sweep_id: str, after: int) -> Iterator[Iterator[EventModel]]:
        """Open the stream of events behind `after`."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        with self._connection.stream(_path(sweep_id, "events"), headers=headers) as response:
            yield (EventModel.model_validate_json(sent.data) for sent in httpx2.EventSource(response) if sent.data)

    def _is_over(self, sweep_id: str, quiet_seconds: float) -> bool:
        return is_over(self.find(sweep_id), quiet_seconds=quiet_seconds, is_remote=True)

    def read_sweep(self, answer: Any) -> Sweep:
        """Return the sweep that an answer of this service, as plain data, tells of."""
        return SweepModel.model_validate(answer).to_record(self._url)

    @property
    def _url(self) -> str:
        return self._connection.context.url


def _path(reference: str, *below: str) -> str:
    """Return the path of a sweep; a text that no path can have goes by no sweep."""
    fits = 0 < len(reference) <= LONGEST_REFERENCE and reference.isprintable() and "/" not in reference
    if not fits or reference in (".", ".."):
        raise SweepNotFoundError(f"no sweep {reference}; to see the sweeps: meltpoint ls")
    return "/".join(["/sweeps", quote(reference, safe=""), *below])


def _model_path(model: str) -> str:
    """Return the path of a registered model; a text that no path can have goes by no model."""
    fits = 0 < len(model) <= LONGEST_REFERENCE and model.isprintable() and "/" not in model
    if not fits or model in (".", ".."):
        raise NotFoundError(f"nothing was promoted to {model}; `meltpoint models` lists what was")
    return f"/models/{quote(model, safe='')}"


def _record(model: EventModel) -> Event:
    return Event(
        id=model.id,
        sweep_id=model.sweep_id,
        trial_id=model.trial_id,
        kind=EventKind(model.kind),
        payload=model.payload,
        at=model.at,
    )
