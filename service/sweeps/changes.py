"""Change a sweep's budget, priority or slot cap, and delete sweeps."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces import SweepSpec
from service.errors import HomeError, TransitionError, UsageError
from service.ledgers import Sweep, SweepState, TrialPhase, way_to_more_trials
from service.runs.kept_checkpoints import SweepFiles, checkpoint_folders, list_files
from service.settings import Home
from service.sweeps.resumption import change_budget, make_revision
from trainables.checkpoint_stores import open_store
from trainables.errors import StoreError

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["DeletedSweep", "change_sweep", "delete_sweep"]

_DRIVER_SECONDS = 3.0
"""Time for which a deletion waits for the driver of an ended sweep."""

_LOOK_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class DeletedSweep:
    """A sweep as it was before it was deleted, its files, and numbers of its runs in MLflow that went and that stay."""

    sweep: Sweep
    files: SweepFiles = field(default_factory=SweepFiles)
    runs_deleted: int = 0
    runs_kept: int = 0


def change_sweep(
    ledger: Ledger,
    reference: str,
    *,
    assign: Sequence[str] = (),
    priority: int | None = None,
    slot_cap: int | None = None,
    owner: str | None = None,
    check: Callable[[Sweep, SweepSpec], None] = lambda _sweep, _spec: None,
) -> Sweep:
    """Change a sweep's budget, priority or slot cap, also while it runs; None leaves a value, 0 removes the cap.

    assign: changes of the budget as `KEY=VALUE`. owner: the user whose sweeps alone are considered; None for all.
    check: raises an error if the sweep may not have the changed spec.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
        SpecError: an assignment is wrong.
        ConflictError: the sweep was changed by somebody else just now.
        UsageError: the sweep has ended, or another setting than the budget would change.
    """
    sweep = ledger.sweeps.find(reference, owner=owner)
    _check_not_ended(ledger, sweep)
    columns: dict[str, Any] = {}
    if priority is not None:
        columns["priority"] = priority
    if slot_cap is not None:
        columns["slot_cap"] = slot_cap or None
    revision = None
    if assign:
        if sweep.phase is not TrialPhase.SEARCH:
            raise UsageError(f"{sweep.id} confirms its best recipes: its search is over, and so is its budget")
        spec = change_budget(sweep.read_spec(), assign, sweep_id=sweep.id)
        check(sweep, spec)
        revision = make_revision(sweep.spec_text, spec)
    try:
        return ledger.sweeps.change(sweep.id, revision, **columns)
    except TransitionError:
        _check_not_ended(ledger, ledger.sweeps.get(sweep.id))
        raise


def _check_not_ended(ledger: Ledger, sweep: Sweep) -> None:
    if not sweep.state.is_finished and sweep.state is not SweepState.CANCELLING:
        return
    advice = ""
    if sweep.state not in (SweepState.CANCELLED, SweepState.CANCELLING):
        spec = sweep.read_spec()
        trials = ledger.sweeps.trial_counts([sweep.id])[sweep.id].total
        advice = f"; {way_to_more_trials(sweep, spec, trials)}"
    raise UsageError(f"{sweep.id} is {sweep.state}: its budget, priority and slot cap no longer matter{advice}")


def delete_sweep(
    ledger: Ledger,
    home: Home,
    reference: str,
    *,
    owner: str | None = None,
    with_runs: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> DeletedSweep:
    """Delete a sweep that no process drives, with its trials and its folder in `home`; return what it was.

    Only what is the sweep's own goes: images, activations and registered models stay. The driver of a sweep that has
    just ended is waited for, since it may still be sending MLflow the end of runs; then nobody else can drive the
    sweep until it is gone. Its rows in the ledger go last, so that a deletion that was interrupted can be repeated.

    owner: the user whose sweeps alone are considered; None for all. with_runs: delete its runs in MLflow too. sleep:
        waits some seconds.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
        UsageError: a process drives the sweep.
        TrackingError: MLflow does not delete the runs; the sweep is kept.
        HomeError: a file cannot be removed, here or in a store; the sweep is kept.
    """
    from service.runs.leases import driving

    sweep = ledger.sweeps.find(reference, owner=owner)
    _check_rests(sweep)
    waited = 0.0
    while sweep.state is not SweepState.INTERRUPTED and ledger.leases.holder(sweep.id) is not None:
        if waited >= _DRIVER_SECONDS:
            raise UsageError(
                f"{sweep.id} is {sweep.state}, but its driver is still sending MLflow its end; try again in a minute"
            )
        sleep(_LOOK_SECONDS)
        waited += _LOOK_SECONDS
    with driving(home, ledger, sweep.id):
        _check_rests(ledger.sweeps.get(sweep.id))
        runs = 0, 0
        if with_runs:
            from service.registry.removals import remove_runs

            removed = remove_runs(ledger, home, sweep)
            runs = removed.deleted, removed.kept
        folders = checkpoint_folders(home, sweep)
        files = list_files(folders)
        for folder in folders[1:]:
            _remove_from_store(folder, sweep)
        _remove_folder(home.sweep(sweep.id), sweep)
        home.sending_lock(sweep.id).unlink(missing_ok=True)
        ledger.sweeps.delete(sweep.id)
    return DeletedSweep(sweep=sweep, files=files, runs_deleted=runs[0], runs_kept=runs[1])


def _check_rests(sweep: Sweep) -> None:
    if sweep.state.is_under_way:
        raise UsageError(f"{sweep.id} is {sweep.state}; end it first with: meltpoint cancel {sweep.id}")


def _remove_from_store(folder: str, sweep: Sweep) -> None:
    try:
        open_store(folder).remove(folder)
    except StoreError as error:
        raise HomeError(f"{error}; {sweep.id} is kept. Mend that, and type again: meltpoint rm {sweep.id}") from None


def _remove_folder(folder: Path, sweep: Sweep) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise HomeError(
            f"{folder} cannot be removed ({Path(str(error.filename)).name}: {error.strerror or error}); {sweep.id} is "
            f"kept. Mend that, and type again: meltpoint rm {sweep.id}"
        ) from None
