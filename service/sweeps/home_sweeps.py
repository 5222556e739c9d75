"""Requests about the sweeps of a home, answered in this process from its ledger."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from service.exports import RecipeFile, make_recipe_file
from service.ledgers import Event, Promotion, Sweep, SweepAction, SweepState
from service.promotions import MovedAlias, PromotionOutcome
from service.registry import (
    find_outcome,
    read_model_history,
    read_models,
    request_promotion,
    roll_back_here,
    send_messages,
    waiting_outcome,
)
from service.reports import Comparison, Leaderboard, RetrainingResult, read_retrainings
from service.runs.kept_checkpoints import SweepFiles, checkpoint_folders, list_files
from service.settings import Home, prepare_environment
from service.sweeps.actions import request_action
from service.sweeps.changes import DeletedSweep, change_sweep, delete_sweep
from service.sweeps.confirmation import queue_confirmation, read_confirmation
from service.sweeps.following import is_over
from service.sweeps.listing import SweepSummary, list_sweeps
from service.sweeps.log_lines import log_line
from service.sweeps.opening import open_ledger
from service.sweeps.queue import QueueEntry, read_queue
from service.sweeps.requests import Submission, SweepRequests
from service.sweeps.results import compare_sweeps, read_leaderboard, read_report, render_report
from service.sweeps.status import SweepStatus, get_status
from service.sweeps.submission import queue_resume, submit_sweep

if TYPE_CHECKING:  # importing it loads NumPy
    from service.confirmations import Confirmation
    from service.sweep_reports import SweepReport

__all__ = ["HomeSweeps"]

LOOK_SECONDS = 0.2
PAGE = 500


class HomeSweeps(SweepRequests):
    """Answers from the ledger of a home; opens it for each request, so that nothing is held between two.

    Args:
        home: its home; it need not exist.
        sleep: waits some seconds between two looks at the ledger.
    """

    is_remote = False

    def __init__(self, home: Home, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._home, self._sleep = home, sleep

    @property
    def place(self) -> str:
        """The folder of the home."""
        return str(self._home.root)

    @property
    def mlflow_address(self) -> str | None:
        """The address of MLflow's server, if `MLFLOW_TRACKING_URI` names one."""
        uri = self._home.tracking_uri
        return uri.rstrip("/") if uri.startswith(("http://", "https://")) else None

    def user(self) -> str | None:
        """Return None: the sweeps of a home have no owner."""
        return None

    def list(
        self,
        *,
        states: Collection[SweepState] | None = None,
        name: str | None = None,
        owner: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> builtins.list[SweepSummary]:
        """Return sweeps, newest first; none if the home has no ledger."""
        if not self._home.has_ledger:
            return []
        with open_ledger(self._home) as ledger:
            return list_sweeps(ledger, states=states, name=name, owner=owner, limit=limit, after=after)

    def find(self, reference: str) -> Sweep:
        """Return a sweep's row."""
        with open_ledger(self._home) as ledger:
            return ledger.sweeps.find(reference)

    def status(self, reference: str) -> SweepStatus:
        """Return how a sweep stands."""
        with open_ledger(self._home) as ledger:
            return get_status(ledger, self._home, reference)

    def leaderboard(self, reference: str, *, readings_of: int | None = None) -> Leaderboard:
        """Return a sweep's trials, best first."""
        with open_ledger(self._home) as ledger:
            return read_leaderboard(ledger, reference, readings_of=readings_of)

    def report(self, reference: str) -> SweepReport:
        """Return the numbers behind a sweep's report."""
        with open_ledger(self._home) as ledger:
            return read_report(ledger, reference)

    def report_page(self, reference: str, *, with_images: bool = True) -> str:
        """Return a sweep's report as a page; images take a moment, since they need torch."""
        with open_ledger(self._home) as ledger:
            return render_report(ledger, reference, images=self._home.data if with_images else None)

    def compare(self, first: str, second: str) -> Comparison:
        """Return what differs between two sweeps."""
        with open_ledger(self._home) as ledger:
            return compare_sweeps(ledger, first, second)

    def spec(self, reference: str) -> str:
        """Return the text of the sweep's file."""
        return self.find(reference).spec_text

    def recipe(self, reference: str) -> RecipeFile:
        """Return the recipe file of a sweep, with files and folders of this machine in full."""
        with open_ledger(self._home) as ledger:
            return make_recipe_file(ledger, ledger.sweeps.find(reference), with_places=True)

    def submit(self, submission: Submission) -> Sweep:
        """Hand a sweep to the service on this ledger, as a sweep of no user."""
        with open_ledger(self._home) as ledger:
            return submit_sweep(ledger, submission, sleep=self._sleep)

    def act(self, reference: str, action: SweepAction) -> Sweep:
        """Ask for a pause, stop or cancel."""
        with open_ledger(self._home) as ledger:
            return request_action(ledger, reference, action)

    def resume(self, reference: str, assign: Sequence[str] = ()) -> Sweep:
        """Queue a sweep again for the service on this ledger."""
        with open_ledger(self._home) as ledger:
            return queue_resume(ledger, reference, assign)

    def confirm(self, reference: str, changes: Mapping[str, Any] | None = None) -> Sweep:
        """Queue a confirmation."""
        with open_ledger(self._home) as ledger:
            return queue_confirmation(ledger, reference, changes)

    def confirmation(self, reference: str) -> Confirmation | None:
        """Return the confirmation of a sweep."""
        return read_confirmation(self.find(reference))

    def retrainings(self, reference: str) -> builtins.list[RetrainingResult]:
        """Return the retrainings of a sweep's confirmation."""
        with open_ledger(self._home) as ledger:
            return read_retrainings(ledger, ledger.sweeps.find(reference))

    def change(
        self,
        reference: str,
        *,
        assign: Sequence[str] = (),
        priority: int | None = None,
        slot_cap: int | None = None,
    ) -> Sweep:
        """Change a sweep's budget, priority or slot cap."""
        with open_ledger(self._home) as ledger:
            return change_sweep(ledger, reference, assign=assign, priority=priority, slot_cap=slot_cap)

    def promote(
        self,
        reference: str,
        *,
        alias: str = "champion",
        model: str | None = None,
        force: bool = False,
        unconfirmed: bool = False,
    ) -> PromotionOutcome:
        """Give a sweep's model an alias; torch and MLflow are loaded into this process."""
        prepare_environment(self._home)
        with open_ledger(self._home) as ledger:
            sweep = ledger.sweeps.find(reference)
            request, after = request_promotion(
                ledger, sweep, alias=alias, model=model, force=force, unconfirmed=unconfirmed
            )
            error = send_messages(ledger, self._home, sweep.id)
            return find_outcome(ledger, sweep.id, request.key, after=after) or waiting_outcome(request, error)

    def rollback(self, model: str, *, alias: str = "champion") -> Promotion:
        """Give an alias back to the version that had it before."""
        prepare_environment(self._home)
        with open_ledger(self._home) as ledger:
            return roll_back_here(ledger, self._home, model=model, alias=alias)

    def models(self) -> builtins.list[MovedAlias]:
        """Return the aliases that models were promoted to; none if the home has no ledger."""
        if not self._home.has_ledger:
            return []
        with open_ledger(self._home) as ledger:
            return read_models(ledger)

    def model_history(self, model: str) -> builtins.list[Promotion]:
        """Return the moves of a registered model's aliases."""
        with open_ledger(self._home) as ledger:
            return read_model_history(ledger, model)

    def files(self, reference: str) -> SweepFiles:
        """Return the files in a sweep's folders, in this home and in stores."""
        return list_files(checkpoint_folders(self._home, self.find(reference)))

    def delete(self, reference: str, *, with_runs: bool = False) -> DeletedSweep:
        """Delete a sweep, with its folder in this home."""
        if with_runs:
            prepare_environment(self._home)
        with open_ledger(self._home) as ledger:
            return delete_sweep(ledger, self._home, reference, with_runs=with_runs)

    def events(self, reference: str, *, after: int = 0, follow: bool = False) -> Iterator[Event]:
        """Yield a sweep's events."""
        with open_ledger(self._home) as ledger:
            from service.runs.leases import mark_interrupted

            sweep_id, quiet = ledger.sweeps.find(reference).id, 0.0
            while True:
                # The state is read first: an event between the two reads is then waited for.
                over = not follow or is_over(ledger.sweeps.get(sweep_id), quiet_seconds=quiet, is_remote=False)
                page = ledger.events.after(sweep_id, after, limit=PAGE)
                yield from page
                if page:
                    after, quiet = page[-1].id, 0.0
                elif over:
                    return
                else:
                    self._sleep(LOOK_SECONDS)
                    quiet += LOOK_SECONDS
                    mark_interrupted(ledger, self._home)

    def logs(self, reference: str, *, follow: bool = False) -> Iterator[str]:
        """Yield a sweep's log line by line."""
        for event in self.events(reference, follow=follow):
            line = log_line(event)
            if line is not None:
                yield line

    def close(self) -> None:
        """Do nothing: each request has closed what it opened."""

    def queue(self) -> builtins.list[QueueEntry]:
        """Return the sweeps under way and those that wait."""
        if not self._home.has_ledger:
            return []
        with open_ledger(self._home) as ledger:
            return read_queue(ledger)
