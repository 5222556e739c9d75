"""Requests for a confirmation: whether a sweep can be confirmed, and by which rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from search_spaces import SweepSpec
from service.errors import NotFoundError, TransitionError, UsageError
from service.ledgers import Json, Sweep, SweepState, TrialPhase, TrialState

if TYPE_CHECKING:
    from service.confirmations import Confirmation, ConfirmRule
    from service.ledgers import Ledger
    from service.reports import Leaderboard

__all__ = [
    "check_has_owner",
    "confirmation_as_json",
    "find_confirmation",
    "is_complete",
    "is_confirmable",
    "prepare_confirmation",
    "queue_confirmation",
    "read_confirmation",
]


def read_confirmation(sweep: Sweep) -> Confirmation | None:
    """Return the confirmation in a sweep's row; None if none has begun."""
    from service.confirmations import Confirmation

    return Confirmation.from_sweep(sweep)


def find_confirmation(sweep: Sweep) -> Json:
    """Return the contract of `confirm -o json` for a sweep.

    Raises:
        NotFoundError: no confirmation of the sweep has begun.
    """
    if sweep.confirmation is None:
        raise NotFoundError(f"{sweep.id} has no confirmation; to confirm it: meltpoint confirm {sweep.id}")
    return {"sweep_id": sweep.id, "name": sweep.name, "metric": sweep.metric, **sweep.confirmation}


def confirmation_as_json(sweep: Sweep, confirmation: Confirmation) -> Json:
    """Return the contract of `confirm -o json`."""
    return {"sweep_id": sweep.id, "name": sweep.name, "metric": sweep.metric, **confirmation.as_json()}


def is_complete(sweep: Sweep, confirmation: Confirmation) -> bool:
    """Return whether nothing is left to do: the decision is made, and the test images, if there are any, were read."""
    return confirmation.decision is not None and (confirmation.test is not None or not sweep.count_images("test"))


def is_confirmable(board: Leaderboard, *, is_remote: bool) -> bool:
    """Return whether `meltpoint confirm` would find something to do; is_remote: if a service has the sweep.

    At least two recipes must have finished, of which one is not the default, and confirmation images must be there. A
    service confirms only the sweeps of its users.
    """
    sweep = board.sweep
    if sweep.state not in (SweepState.COMPLETED, SweepState.STOPPED) or not sweep.count_images("confirm"):
        return False
    ended = (trial for trial in board.ranked if trial.state in (TrialState.COMPLETED, TrialState.PRUNED))
    has_finalist = len({trial.identity for trial in ended}) > 1
    return has_finalist and not (is_remote and sweep.owner is None)


def prepare_confirmation(
    ledger: Ledger, reference: str, changes: Mapping[str, Any] | None = None, *, owner: str | None = None
) -> tuple[Sweep, SweepSpec, Confirmation]:
    """Return a sweep whose search has ended, its spec, and the confirmation that was asked for.

    The confirmation is that of the sweep's row, decided or not, if it has the rule that was asked for.

    changes: settings of the rule that differ from those of the sweep's confirmation, or of its file if it has none.
    owner: whose sweeps to look at; None for all.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
        UsageError: its search has not ended, its confirmation is under way, or a setting is out of range.
        ConfirmationError: there is nothing to confirm.
    """
    from service.confirmations.planning import check_search_ended, plan_confirmation

    sweep = ledger.sweeps.find(reference, owner=owner)
    check_search_ended(sweep)
    spec = sweep.read_spec()
    rule, present = _asked_rule(sweep, changes), read_confirmation(sweep)
    if present is not None and present.rule == rule:
        return sweep, spec, present
    return sweep, spec, plan_confirmation(ledger, sweep, spec, rule)


def check_has_owner(sweep: Sweep) -> None:
    """Check that a sweep belongs to a user of the service, which confirms no others. Raises UsageError."""
    from service.confirmations.planning import check_runs_here

    check_runs_here(sweep, is_remote=True)


def queue_confirmation(
    ledger: Ledger, reference: str, changes: Mapping[str, Any] | None = None, *, owner: str | None = None
) -> Sweep:
    """Queue a sweep's confirmation for the drivers of a service.

    A sweep whose confirmation is under way by the same rule, or complete, is returned as it is.

    Raises as `prepare_confirmation`, and UnavailableError if no process of the service drives sweeps.
    """
    from service.confirmations.planning import check_search_ended
    from service.sweeps.submission import check_drivers

    sweep = ledger.sweeps.find(reference, owner=owner)
    if _is_being_confirmed(sweep, changes):
        return sweep
    sweep, _spec, confirmation = prepare_confirmation(ledger, sweep.id, changes)
    if is_complete(sweep, confirmation):
        return sweep
    check_drivers(ledger)
    try:
        return ledger.sweeps.queue_confirmation(sweep.id, confirmation.as_json())
    except TransitionError:  # another request was quicker
        sweep = ledger.sweeps.get(sweep.id)
        if _is_being_confirmed(sweep, changes):
            return sweep
        check_search_ended(sweep)
        raise


def _is_being_confirmed(sweep: Sweep, changes: Mapping[str, Any] | None) -> bool:
    """Return whether a confirmation by the rule that was asked for is under way."""
    present = read_confirmation(sweep)
    is_under_way = sweep.phase is TrialPhase.CONFIRM and sweep.state.is_under_way and present is not None
    return is_under_way and present is not None and present.rule == _asked_rule(sweep, changes)


def _asked_rule(sweep: Sweep, changes: Mapping[str, Any] | None) -> ConfirmRule:
    """Return the rule of the sweep's confirmation, or else of its file, with changes.

    Raises:
        UsageError: a change is out of range.
    """
    from service.confirmations.planning import rule_of

    present = read_confirmation(sweep)
    rule = rule_of(sweep.read_spec()) if present is None else present.rule
    try:
        return replace(rule, **(changes or {}))
    except ValueError as error:
        raise UsageError(str(error)) from None
