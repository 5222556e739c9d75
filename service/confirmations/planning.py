"""The plan of a confirmation: which recipes are trained anew, with which seeds, from the ledger and the sweep file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search_spaces import Recipe, SweepSpec
from service.confirmations.contenders import choose_contenders, confirmation_seeds, rank_search, sweep_digest
from service.confirmations.readings import decided_measure
from service.confirmations.records import Confirmation
from service.confirmations.rules import ConfirmRule
from service.errors import ConfirmationError
from service.ledgers import Sweep, TrialState

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["default_recipe", "plan_confirmation", "rule_of"]


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
    trials = ledger.trials.list(sweep.id)
    contenders = choose_contenders(rank_search(trials, sweep.goal), default_recipe(spec), top_k=rule.top_k)
    has_value = any(trial.state in (TrialState.COMPLETED, TrialState.PRUNED) for trial in trials)
    if has_value and sweep.count_images("confirm") == 0:  # more trials would not help
        raise ConfirmationError(
            f"{sweep.id} has no confirmation images (data.split.confirm is 0): its search has seen every image but "
            "those for training and test. Run the sweep again with images kept apart: "
            f"{sweep.start_command} --set data.split.confirm=0.1"
        )
    if len(contenders) == 1:
        failed = sum(trial.state is TrialState.FAILED for trial in trials)
        what = (
            "the default is its only finished recipe" if has_value else "none of its trials has finished with a value"
        )
        why = f" ({failed} failed; meltpoint trials {sweep.id} shows why)" if failed else ""
        raise ConfirmationError(
            f"{sweep.id} has nothing to confirm: {what}{why}; a sweep with more trials has: "
            f"meltpoint resume {sweep.id} --set budget.trials={max(2 * len(trials), 8)}"
        )
    digest = sweep_digest(sweep)
    return Confirmation(
        rule=rule,
        digest=digest,
        measure=decided_measure(sweep.metric),
        seeds=confirmation_seeds(digest, rule.seeds, search_seed=sweep.seed),
        contenders=contenders,
    )
