"""The Python client, for notebooks and scripts: its methods have the names of the commands."""

from __future__ import annotations

import builtins
import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from search_spaces import assign_recipes, read_spec_text
from service.clients.accounts import Accounts
from service.clients.connections import Connection
from service.clients.remote_sweeps import RemoteSweeps
from service.errors import UsageError
from service.exports import RecipeFile
from service.ledgers import Event, Promotion, Sweep, SweepAction, SweepState
from service.promotions import MovedAlias, PromotionOutcome
from service.reports import Comparison, Leaderboard, RetrainingResult
from service.runs import Snapshot
from service.schemas import IdentityModel, IssuedToken, TokenModel, UserModel
from service.settings import Context, Home, check_url, choose_context, find_local_service
from service.sweeps import HomeSweeps, QueueEntry, Submission, SweepProgress, SweepRequests, SweepStatus, SweepSummary

if TYPE_CHECKING:  # importing it loads NumPy
    from service.confirmations import Confirmation
    from service.sweep_reports import SweepReport

__all__ = ["Client"]

SNAPSHOT_SECONDS: Final = 0.5
"""Least time between two snapshots of `watch`, except for the last one."""


class Client:
    """Asks a service, or a home, about sweeps.

    Without arguments it acts on what the commands act on: the service that the environment or `meltpoint context`
    chooses, else the service that runs on the home, else the home itself. A `sweep` is an id, a unique prefix, a name,
    or `last`.

    Ownership: `close`, or the end of a `with` block, closes its connections. Thread safety: one thread at a time.

    Args:
        context: name of a context, as `meltpoint login` made it.
        url: address of a service, together with `token`, instead of a context.
        token: a token of that service.
        home: folder of a home, to act on it without any service.

    Raises:
        UsageError: arguments that contradict each other, or an unknown context.
        SweepNotFoundError (any method with a sweep): no sweep goes by it.
        UnavailableError (any method): the service does not answer.
        UnauthenticatedError, ForbiddenError (any method): the service does not take the token, or the role is too low.
    """

    def __init__(
        self,
        context: str | None = None,
        *,
        url: str | None = None,
        token: str | None = None,
        home: str | Path | None = None,
    ) -> None:
        if (url is None) != (token is None):
            raise UsageError("url and token must be given together")
        if sum(choice is not None for choice in (context, url, home)) > 1:
            raise UsageError("only one of context, url and home can be given")
        place = Home.resolve(None if home is None else Path(home))
        chosen: Context | None = None
        if url is not None:
            address = check_url(url)
            renewal = "give `Client` another one as `token`"
            chosen = Context(name=address, url=address, token=token or "", origin="Client", renewal=renewal)
        elif home is None:
            chosen = choose_context(context) or find_local_service(place)
        self._connection = None if chosen is None else Connection(chosen)
        self._requests: SweepRequests = (
            HomeSweeps(place) if self._connection is None else RemoteSweeps(self._connection)
        )

    def __repr__(self) -> str:
        return f"<Client of {self._requests.place}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._requests.close()

    def submit(
        self,
        spec: str | Path | Mapping[str, Any],
        *,
        assign: Sequence[str] = (),
        priority: int = 0,
        slots: int | None = None,
        key: str | None = None,
    ) -> Sweep:
        """Hand a sweep to the service, and return it as soon as the service has accepted it.

        spec: path of a sweep file, or its content as a mapping. assign: changes such as `budget.trials=64`.
        priority: a higher one goes first. slots: most trials at once. key: a text by which a repeated call returns the
        sweep of the first one instead of another.

        Raises:
            SpecError: the sweep file has problems; `problems` has all of them.
            QuotaError: the user has reached a limit; `retry_after` has the seconds to wait.
        """
        if isinstance(spec, Mapping):
            text, file = json.dumps(spec, indent=1), str(Path("sweep.yaml").absolute())
        else:
            text, file = read_spec_text(Path(spec)), str(Path(spec).absolute())
        given = tuple(assign_recipes(assign))
        submission = Submission(text=text, file=file, assign=given, priority=priority, slot_cap=slots, key=key)
        return self._requests.submit(submission)

    def ls(
        self,
        *,
        states: Collection[SweepState | str] | None = None,
        name: str | None = None,
        owner: str | None = None,
        limit: int | None = None,
    ) -> builtins.list[SweepSummary]:
        """Return sweeps, newest first; the filters are those of `meltpoint ls`."""
        chosen = None if states is None else [SweepState(state) for state in states]
        return self._requests.list(states=chosen, name=name, owner=owner, limit=limit)

    def status(self, sweep: str = "last") -> SweepStatus:
        """Return how a sweep stands."""
        return self._requests.status(sweep)

    def trials(self, sweep: str = "last") -> Leaderboard:
        """Return a sweep's leaderboard; its `as_json()` is a list of rows, for pandas for instance."""
        return self._requests.leaderboard(sweep)

    def report(self, sweep: str = "last") -> SweepReport:
        """Return the numbers behind a sweep's report; its `model_dump()` is plain data."""
        return self._requests.report(sweep)

    def report_page(self, sweep: str = "last", *, with_images: bool = True) -> str:
        """Return a sweep's report as an HTML page that needs no other file, such as for `IPython.display.HTML`.

        with_images: show training images and worst mistakes; a service shows none.
        """
        return self._requests.report_page(sweep, with_images=with_images)

    def compare(self, first: str, second: str) -> Comparison:
        """Return what differs between two sweeps."""
        return self._requests.compare(first, second)

    def export(self, sweep: str = "last") -> RecipeFile:
        """Return the recipe file of a sweep: of its confirmed winner, else of its best trial."""
        return self._requests.recipe(sweep)

    def spec(self, sweep: str = "last") -> str:
        """Return the text of a sweep's file."""
        return self._requests.spec(sweep)

    def events(self, sweep: str = "last", *, after: int = 0, follow: bool = False) -> Iterator[Event]:
        """Yield a sweep's events behind the id `after`; follow: until it has ended and its model is registered."""
        return self._requests.events(sweep, after=after, follow=follow)

    def watch(self, sweep: str = "last") -> Iterator[Snapshot]:
        """Yield snapshots of a sweep, at most two a second, until it has ended and its model is registered."""
        row = self._requests.find(sweep)
        progress, shown_at = SweepProgress(row), 0.0
        for event in self._requests.events(row.id, follow=True):
            progress.apply(event)
            if time.monotonic() - shown_at >= SNAPSHOT_SECONDS:
                shown_at = time.monotonic()
                yield progress.snapshot()
        yield progress.snapshot()

    def logs(self, sweep: str = "last", *, follow: bool = False) -> Iterator[str]:
        """Yield a sweep's log line by line."""
        return self._requests.logs(sweep, follow=follow)

    def queue(self) -> builtins.list[QueueEntry]:
        """Return the sweeps under way, and then those that wait, in the order of their start."""
        return self._requests.queue()

    def pause(self, sweep: str) -> Sweep:
        """Ask for a pause: running trials end at their next report, and can be resumed."""
        return self._requests.act(sweep, SweepAction.PAUSE)

    def stop(self, sweep: str) -> Sweep:
        """Ask for a stop: running trials finish, no other starts, and the best model is registered."""
        return self._requests.act(sweep, SweepAction.STOP)

    def cancel(self, sweep: str) -> Sweep:
        """Ask for the end at once and for good."""
        return self._requests.act(sweep, SweepAction.CANCEL)

    def resume(self, sweep: str, *, assign: Sequence[str] = ()) -> Sweep:
        """Queue a sweep again that was paused or interrupted, or a finished one with a larger budget or more points."""
        return self._requests.resume(sweep, assign_recipes(assign))

    def confirm(self, sweep: str = "last", **changes: float) -> Sweep:
        """Queue a confirmation: the best recipes and the default are trained anew on fresh seeds.

        changes: any of `top_k`, `seeds`, `gate` and `tolerance`.
        """
        return self._requests.confirm(sweep, changes)

    def confirmation(self, sweep: str = "last") -> Confirmation | None:
        """Return a sweep's confirmation, with its decision once it is made; None if none has begun."""
        return self._requests.confirmation(sweep)

    def retrainings(self, sweep: str = "last") -> builtins.list[RetrainingResult]:
        """Return the retrainings of a sweep's confirmation, in the order in which they began."""
        return self._requests.retrainings(sweep)

    def change(
        self, sweep: str, *, assign: Sequence[str] = (), priority: int | None = None, slots: int | None = None
    ) -> Sweep:
        """Change a sweep's budget, priority, or most trials at once (0: no limit), also while it runs.

        assign: changes of the budget, such as `budget.trials=64`.
        """
        return self._requests.change(sweep, assign=assign, priority=priority, slot_cap=slots)

    def promote(
        self,
        sweep: str = "last",
        *,
        alias: str = "champion",
        model: str | None = None,
        force: bool = False,
        unconfirmed: bool = False,
    ) -> PromotionOutcome:
        """Give the model of a sweep's confirmed recipe an alias, unless it is worse than the one that has it.

        Its `status` says what became of it: promoted, unchanged, refused, or waiting for MLflow.
        """
        return self._requests.promote(sweep, alias=alias, model=model, force=force, unconfirmed=unconfirmed)

    def rollback(self, model: str, *, alias: str = "champion") -> Promotion:
        """Give an alias back to the version that had it before, and return the move."""
        return self._requests.rollback(model, alias=alias)

    def models(self) -> builtins.list[MovedAlias]:
        """Return the aliases that models were promoted to, the last moved first."""
        return self._requests.models()

    def model_history(self, model: str) -> builtins.list[Promotion]:
        """Return the moves of a registered model's aliases, newest first."""
        return self._requests.model_history(model)

    def rm(self, *sweeps: str) -> builtins.list[Sweep]:
        """Delete sweeps with their trials and checkpoints, and return what they were; MLflow keeps runs and models."""
        chosen = {row.id: row for row in map(self._requests.find, sweeps)}
        return [self._requests.delete(sweep_id).sweep for sweep_id in chosen]

    def whoami(self) -> IdentityModel:
        """Return the signed-in user."""
        return self._accounts().whoami()

    def token_create(
        self, label: str = "token", *, days: int = 90, role: str | None = None, user: str | None = None
    ) -> IssuedToken:
        """Issue a token, whose text is never shown again."""
        return self._accounts().create_token(label, days=days, role=role, user=user)

    def token_ls(self) -> builtins.list[TokenModel]:
        """Return the user's tokens, or everybody's for an admin, without their texts."""
        return self._accounts().tokens()

    def token_revoke(self, token_id: str) -> None:
        """Revoke a token."""
        self._accounts().revoke_token(token_id)

    def user_add(self, name: str, *, role: str = "submitter", **limits: Any) -> UserModel:
        """Create a user; limits: as `UserModel` has them, such as `max_sweeps=2`."""
        return self._accounts().create_user(name, role=role, **limits)

    def user_ls(self) -> builtins.list[UserModel]:
        """Return all users."""
        return self._accounts().users()

    def user_set(self, name: str, **changes: Any) -> UserModel:
        """Change a user's role or limits; None removes a limit, `disabled=True` takes every right."""
        return self._accounts().change_user(name, **changes)

    def _accounts(self) -> Accounts:
        if self._connection is None:
            raise UsageError("a home has no users; sign in to a service with: meltpoint login URL")
        return Accounts(self._connection)
