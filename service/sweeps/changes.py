"""Change a sweep's priority or slot cap, and delete sweeps."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from service.errors import UsageError
from service.ledgers import Sweep
from service.settings import Home

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["change_sweep", "delete_sweep"]


def change_sweep(
    ledger: Ledger,
    reference: str,
    *,
    priority: int | None = None,
    slot_cap: int | None = None,
    owner: str | None = None,
) -> Sweep:
    """Change a sweep's priority or its slot cap, also while it runs; None leaves a value, 0 removes the cap.

    owner: the user whose sweeps alone are considered; None for all.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
        UsageError: the sweep has ended.
    """
    sweep = ledger.sweeps.find(reference, owner=owner)
    if sweep.state.is_finished:
        raise UsageError(f"{sweep.id} is {sweep.state}: its priority and slot cap no longer matter")
    columns: dict[str, Any] = {}
    if priority is not None:
        columns["priority"] = priority
    if slot_cap is not None:
        columns["slot_cap"] = slot_cap or None
    if columns:
        ledger.sweeps.change(sweep.id, **columns)
    return ledger.sweeps.get(sweep.id)


def delete_sweep(ledger: Ledger, home: Home, reference: str, *, owner: str | None = None) -> Sweep:
    """Delete a sweep that no process drives, with its trials and its folder in `home`; return what it was.

    MLflow keeps its runs and models. owner: the user whose sweeps alone are considered; None for all.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
        UsageError: a process drives the sweep.
    """
    sweep = ledger.sweeps.find(reference, owner=owner)
    if sweep.state.is_under_way:
        raise UsageError(f"{sweep.id} is {sweep.state}; end it first with: meltpoint cancel {sweep.id}")
    ledger.sweeps.delete(sweep.id)
    shutil.rmtree(home.sweep(sweep.id), ignore_errors=True)
    return sweep
