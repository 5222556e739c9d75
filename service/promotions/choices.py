"""The model of a sweep that may be promoted: the confirmed one, or, if that is asked for, the best of the search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.errors import UsageError
from service.ledgers import Json, Sweep

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["ChosenModel", "choose_model"]


@dataclass(frozen=True, kw_only=True)
class ChosenModel:
    """A trial whose model may be promoted, and why this one; see `PromotionRequest`."""

    trial_id: str
    confirmed: bool
    headline: str
    evidence: Json


def choose_model(ledger: Ledger, sweep: Sweep, *, unconfirmed: bool) -> ChosenModel:
    """Return the model of the confirmed recipe; without a confirmation, the best of the search if that is asked for.

    unconfirmed: take the best of the search if the sweep has no decision.

    Raises:
        UsageError: the sweep is under way, has no model, or is unconfirmed, perhaps because its confirmation came to no
            claim, although that was not asked for.
    """
    if sweep.state.is_under_way:
        raise UsageError(
            f"{sweep.id} is {sweep.state}: its model may still change. Wait for its end with: "
            f"meltpoint watch {sweep.id}"
        )
    confirmation = sweep.confirmation or {}
    decision = confirmation.get("decision")
    is_claimless = decision is not None and decision["outcome"] == "no_claim"
    if decision and confirmation.get("deployed") and not is_claimless:
        evidence = {"decision": decision, "test": confirmation.get("test")}
        return ChosenModel(
            trial_id=confirmation["deployed"], confirmed=True, headline=_headline(decision), evidence=evidence
        )
    best = sweep.best_trial_id
    if best is None:
        raise UsageError(f"{sweep.id} has no model to promote: see its trials with: meltpoint trials {sweep.id}")
    if not unconfirmed:
        luck = "the best of many trials is likely to be better here than on new images"
        if is_claimless:
            raise UsageError(
                f"{sweep.id} is unconfirmed: its confirmation came to no claim, and {luck}. See why: "
                f"meltpoint confirm {sweep.id}. To promote it all the same: --unconfirmed"
            )
        raise UsageError(
            f"{sweep.id} is unconfirmed: {luck}. Confirm it first: meltpoint confirm {sweep.id}. To promote it all "
            "the same: --unconfirmed"
        )
    trials = len(ledger.trials.list(sweep.id))
    headline = f"unconfirmed: the best of {trials} trials, whose score is likely to be too good"
    return ChosenModel(trial_id=best, confirmed=False, headline=headline, evidence={"decision": None})


def _headline(decision: Json) -> str:
    from service.confirmations import Decision, summarize_decision  # importing it loads NumPy

    summary = summarize_decision(Decision.from_json(decision))
    return summary if summary.startswith("the default stands") else f"confirmed: {summary}"
