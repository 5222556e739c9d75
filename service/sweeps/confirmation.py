"""Requests for a confirmation: whether a sweep can be confirmed, and by which rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from search_spaces import SweepSpec, parse_spec
from service.errors import UsageError
from service.ledgers import Sweep, SweepState, TrialPhase

if TYPE_CHECKING:
    from service.confirmations import Confirmation
    from service.ledgers import Ledger

__all__ = ["note_confirmation", "prepare_confirmation", "queue_confirmation", "read_confirmation"]


def read_confirmation(sweep: Sweep) -> Confirmation | None:
    """Return the confirmation in a sweep's row; None if none has begun."""
    from service.confirmations import Confirmation

    return None if sweep.confirmation is None else Confirmation.from_json(sweep.confirmation)


def prepare_confirmation(
    ledger: Ledger, reference: str, changes: Mapping[str, Any] | None = None, *, owner: str | None = None
) -> tuple[Sweep, SweepSpec, Confirmation]:
    """Return a sweep whose search has ended, its spec, and the confirmation that was asked for.

    The confirmation is that of the sweep's row, decided or not, if it is like the one asked for.

    changes: settings of the rule that differ from the sweep file's. owner: whose sweeps to look at; None for all.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
        UsageError: its search has not ended.
        ConfirmationError: there is nothing to confirm.
    """
    from service.confirmations.planning import plan_confirmation, rule_of

    sweep = ledger.sweeps.find(reference, owner=owner)
    _check_ended(sweep)
    spec = parse_spec(sweep.spec_text, file=sweep.spec_file)
    rule = replace(rule_of(spec), **(changes or {}))
    asked = plan_confirmation(ledger, sweep, spec, rule)
    present = read_confirmation(sweep)
    return sweep, spec, present if present is not None and present.is_like(asked) else asked


def note_confirmation(ledger: Ledger, sweep: Sweep, confirmation: Confirmation) -> Sweep:
    """Write the confirmation that the sweep's next driver carries out; return the sweep."""
    ledger.sweeps.note(sweep.id, phase=TrialPhase.CONFIRM.value, confirmation=confirmation.as_json())
    return ledger.sweeps.get(sweep.id)


def queue_confirmation(
    ledger: Ledger, reference: str, changes: Mapping[str, Any] | None = None, *, owner: str | None = None
) -> Sweep:
    """Queue a sweep's confirmation for the drivers of a service; a decided one is returned as it is.

    Raises as `prepare_confirmation`, and UnavailableError if no process of the service drives sweeps.
    """
    from service.sweeps.submission import check_drivers

    sweep, _spec, confirmation = prepare_confirmation(ledger, reference, changes, owner=owner)
    if confirmation.decision is not None and confirmation.test is not None:
        return sweep
    check_drivers(ledger)
    note_confirmation(ledger, sweep, confirmation)
    return ledger.sweeps.move(sweep.id, SweepState.QUEUED)


def _check_ended(sweep: Sweep) -> None:
    state = sweep.state
    if state.is_under_way:
        raise UsageError(
            f"{sweep.id} is {state}: a sweep is confirmed once it has ended. To wait for its end: meltpoint watch "
            f"{sweep.id}"
        )
    if state.rests:
        raise UsageError(
            f"{sweep.id} is {state}: its trials have not ended. To go on with it: meltpoint resume {sweep.id}"
        )
    if state is SweepState.CANCELLED:
        raise UsageError(f"{sweep.id} is cancelled: only a sweep that came to its end can be confirmed")
