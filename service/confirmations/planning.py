"""The plan of a confirmation: which recipes are trained anew, with which seeds, from the ledger and the sweep file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from search_spaces import MeltpointError, Recipe, SweepSpec
from search_spaces.extensions import without_counting
from service.confirmations.contenders import choose_contenders, confirmation_seeds, rank_search, sweep_digest
from service.confirmations.readings import decided_measure
from service.confirmations.records import Confirmation
from service.confirmations.rules import ConfirmRule
from service.errors import ConfirmationError, UsageError
from service.ledgers import Sweep, SweepState, Trial, TrialPhase, TrialState, way_to_more_trials

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = [
    "check_runs_here",
    "check_search_ended",
    "default_recipe",
    "plan_confirmation",
    "rule_of",
    "why_not_confirmable",
]

_FEW_TRIALS: Final = 8
"""Fewest trials that a sweep with too few is advised to have."""


def rule_of(spec: SweepSpec) -> ConfirmRule:
    """Return the rule of the sweep file's section `confirm`, or the usual one."""
    return ConfirmRule() if spec.confirm is None else ConfirmRule(**spec.confirm.model_dump())


def default_recipe(spec: SweepSpec) -> Recipe:
    """Return the recipe that a winner must beat: the space's default, or the first one of explicit points."""
    recipe = spec.points[0] if spec.points else spec.space.recipe(spec.space.default())
    return recipe.anchored(spec.folder)


def plan_confirmation(ledger: Ledger, sweep: Sweep, spec: SweepSpec, rule: ConfirmRule) -> Confirmation:
    """Return the confirmation of a sweep whose search has ended; nothing is written.

    Raises:
        ConfirmationError: no recipe besides the default has finished, or the sweep has no confirmation images.
    """
    return _plan(sweep, spec, rule, ledger.trials.list(sweep.id))


def _plan(sweep: Sweep, spec: SweepSpec, rule: ConfirmRule, trials: Sequence[Trial]) -> Confirmation:
    contenders = choose_contenders(rank_search(trials, sweep.goal), default_recipe(spec), top_k=rule.top_k)
    if sweep.count_images("confirm") == 0 and any(map(_has_finished, trials)):  # more trials would not help
        raise ConfirmationError(
            f"{sweep.id} has no confirmation images (data.split.confirm is 0): its search has seen every image but "
            "those for training and test. Run the sweep again with images kept apart: "
            f"{sweep.start_command_with('data.split.confirm=0.1')}"
        )
    if len(contenders) == 1:
        failed = sum(trial.state is TrialState.FAILED for trial in trials)
        why = f" ({failed} failed; meltpoint trials {sweep.id} shows why)" if failed else ""
        raise ConfirmationError(
            f"{sweep.id} has nothing to confirm: {_why_no_finalist(trials)}{why}; "
            f"{way_to_more_trials(sweep, spec, len(trials), at_least=_FEW_TRIALS)}"
        )
    digest = sweep_digest(sweep)
    return Confirmation(
        rule=rule,
        digest=digest,
        measure=decided_measure(sweep.metric),
        seeds=confirmation_seeds(digest, rule.seeds, search_seed=sweep.seed),
        contenders=contenders,
    )


def check_search_ended(sweep: Sweep) -> None:
    """Check that the search has ended, and that no confirmation is under way; one that rests may go on.

    Raises:
        UsageError: the search has not ended, was cancelled, or a confirmation is under way.
    """
    state = sweep.state
    if sweep.phase is TrialPhase.CONFIRM and state.rests:
        return
    if sweep.phase is TrialPhase.CONFIRM and state.is_under_way:
        raise UsageError(
            f"{sweep.id} is {state}: a confirmation of it is under way. To follow it: meltpoint watch {sweep.id}"
        )
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
        raise UsageError(
            f"{sweep.id} is cancelled: only a sweep that came to its end can be confirmed. To start another one: "
            f"{sweep.start_command}"
        )


def check_runs_here(sweep: Sweep, *, is_remote: bool) -> None:
    """Check that a confirmation may run where the sweep is. is_remote: if a service is asked, not a home.

    Raises:
        UsageError: a service is asked, which confirms only the sweeps of its users.
    """
    if is_remote and sweep.owner is None:
        raise UsageError(
            f"{sweep.id} was made by `meltpoint run` and belongs to no user of this service; confirm it where it ran"
        )


def why_not_confirmable(sweep: Sweep, trials: Sequence[Trial], *, is_remote: bool) -> str | None:
    """Return why `meltpoint confirm` refuses a sweep, and the way out; None if it begins, goes on or has a decision.

    None too if that cannot be known without running the user's own code.

    trials: of the search. is_remote: if a service is asked, not a home.
    """
    try:
        check_runs_here(sweep, is_remote=is_remote)
        check_search_ended(sweep)
        if sweep.confirmation is None:
            with without_counting():
                spec = sweep.read_spec()
                _plan(sweep, spec, rule_of(spec), trials)
    except (UsageError, ConfirmationError) as error:
        return str(error)
    except MeltpointError:  # stages of an own backbone, or a file of another version
        return None
    return None


def _has_finished(trial: Trial) -> bool:
    return trial.state in (TrialState.COMPLETED, TrialState.PRUNED)


def _why_no_finalist(trials: Sequence[Trial]) -> str:
    finished = [trial for trial in trials if _has_finished(trial)]
    if not finished:
        return "none of its trials has finished with a value"
    if any(trial.breaks is not None for trial in finished):
        return "no recipe besides the default keeps every limit of its metrics"
    return "the default is its only finished recipe"
