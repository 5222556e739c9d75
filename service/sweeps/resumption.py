"""Checks before a sweep is changed or resumed: which settings may change, and if there is anything left to do."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from search_spaces import SweepSpec, count_recipes, parse_spec
from service.errors import UsageError
from service.ledgers import REVISABLE_SECTIONS, Revision, Sweep, SweepState, TrialPhase, way_to_more_trials
from service.plans import revisable_settings

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["change_budget", "change_spec", "make_revision", "prepare_resume"]


def prepare_resume(ledger: Ledger, reference: str, assign: Sequence[str] = ()) -> tuple[Sweep, SweepSpec]:
    """Return the sweep and the spec to resume it with; a finished one can be resumed with more budget or more points.

    assign: changes of the sweep file as `KEY=VALUE`, see `change_spec`.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
        SpecError: an assignment is wrong.
        UsageError: the sweep runs, was cancelled or has nothing left to do, or a setting may not change.
    """
    sweep = ledger.sweeps.find(reference)
    original = sweep.read_spec()
    spec = sweep.with_first_defaults(change_spec(original, assign, sweep_id=sweep.id))
    if sweep.state is SweepState.CANCELLED:
        raise UsageError(
            f"{sweep.id} is cancelled and cannot be resumed; start a new sweep with: {sweep.start_command}"
        )
    if sweep.state.is_finished and not assign and _is_undecided(sweep):
        raise UsageError(
            f"{sweep.id} is {sweep.state}: its search has ended, its confirmation has not. To go on with it: "
            f"meltpoint confirm {sweep.id}"
        )
    trials = ledger.sweeps.trial_counts([sweep.id])[sweep.id].total
    may_fail_more = original.budget.max_failed != spec.budget.max_failed
    recipes = count_recipes(spec)
    is_used_up = trials >= spec.budget.trials or (recipes is not None and trials >= recipes)
    if sweep.state.is_finished and is_used_up and not may_fail_more:
        way = way_to_more_trials(sweep, spec, trials)
        raise UsageError(f"{sweep.id} is {sweep.state} and has run all of its trials ({trials}); {way}")
    if sweep.state.is_under_way:
        raise UsageError(f"{sweep.id} is {sweep.state}: there is nothing to resume")
    return sweep, spec


def change_spec(original: SweepSpec, assign: Sequence[str], *, sweep_id: str) -> SweepSpec:
    """Return a sweep's spec with changes to `budget` (but its epochs), `resources`, `confirm` and `register`.

    Recipes may be added to the end of an explicit list. The original is returned as it is if nothing is assigned.

    Raises:
        SpecError: an assignment is wrong.
        UsageError: an assignment changes a setting with which the sweep's trials began.
    """
    if not assign:
        return original
    spec = parse_spec(original.text, file=original.file, assign=assign)
    changed = list(_fixed_keys_that_differ(original, spec, may_change=REVISABLE_SECTIONS))
    if changed:
        raise UsageError(
            f"{', '.join(changed)} cannot change when {sweep_id} is resumed, because its trials began with the present "
            "value; only budget (but not budget.epochs), resources, confirm and register can"
            + _instead_of_points(original, spec)
        )
    return spec


def change_budget(original: SweepSpec, assign: Sequence[str], *, sweep_id: str) -> SweepSpec:
    """Return a sweep's spec with changes to `budget` (but its epochs), as they are possible while the sweep runs.

    Raises:
        SpecError: an assignment is wrong.
        UsageError: an assignment changes another setting.
    """
    spec = parse_spec(original.text, file=original.file, assign=assign)
    changed = list(_fixed_keys_that_differ(original, spec, may_change=("budget",)))
    if changed:
        raise UsageError(
            f"{', '.join(changed)} cannot change before {sweep_id} has ended; only budget (but not budget.epochs) can"
        )
    return spec


def make_revision(original: str, spec: SweepSpec) -> Revision:
    """Return the change of a sweep's file from the text `original` to `spec`."""
    return Revision(old_text=original, text=spec.text, settings=revisable_settings(spec))


def _fixed_keys_that_differ(original: SweepSpec, spec: SweepSpec, *, may_change: Collection[str]) -> Iterator[str]:
    for key in dict.fromkeys([*original.document, *spec.document]):
        if key == "search" and "register" in may_change and _only_adds_to_list(original, spec):
            continue
        if key not in may_change and original.document.get(key) != spec.document.get(key):
            yield key
    if original.budget.epochs != spec.budget.epochs:
        yield "budget.epochs"


def _is_undecided(sweep: Sweep) -> bool:
    """Return whether a confirmation began and has no decision."""
    return sweep.phase is TrialPhase.CONFIRM and (sweep.confirmation or {}).get("decision") is None


def _only_adds_to_list(original: SweepSpec, spec: SweepSpec) -> bool:
    """Return whether `search` differs only in recipes at the end of an explicit list."""
    before, after = original.document.get("search", {}), spec.document.get("search", {})
    others = [{key: value for key, value in search.items() if key != "points"} for search in (before, after)]
    return bool(original.points) and others[0] == others[1] and spec.points[: len(original.points)] == original.points


def _instead_of_points(original: SweepSpec, spec: SweepSpec) -> str:
    """Return the way out if somebody wants to change the points of a search or of a list."""
    if original.search.points == spec.search.points:
        return ""
    if original.points:
        return "; recipes can be added behind those of its list: --set 'search.points[+]={...}'"
    return "; recipes can be added only to a list (algorithm points): start another sweep with these and search.from"
