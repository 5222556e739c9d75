"""The model of a sweep that may be promoted: the confirmed one, or, if that is asked for, the best of the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.errors import UsageError
from service.ledgers import Json, Sweep, Trial

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


def choose_model(ledger: Ledger, sweep: Sweep, *, unconfirmed: bool, is_remote: bool = False) -> ChosenModel:
    """Return the model of the confirmed recipe; without a confirmation, the best of the search if that is asked for.

    unconfirmed: take the best of the search if the sweep has no decision. is_remote: if a service is asked.

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
    trials = ledger.trials.list(sweep.id)
    if not unconfirmed:
        raise UsageError(_unconfirmed(sweep, trials, is_claimless=is_claimless, is_remote=is_remote))
    number = len(trials)
    headline = f"unconfirmed: the best of {number} trials, whose score is likely to be too good"
    if number == 1:
        headline = "unconfirmed: the only trial, compared with no other"
    return ChosenModel(trial_id=best, confirmed=False, headline=headline, evidence={"decision": None})


def _unconfirmed(sweep: Sweep, trials: Sequence[Trial], *, is_claimless: bool, is_remote: bool) -> str:
    """Return why an unconfirmed model is not promoted, with the commands that work."""
    from service.confirmations.planning import why_not_confirmable  # importing it loads NumPy

    many = "the best of many trials is likely to be better here than on new images"
    why = many if len(trials) > 1 else "its only trial was compared with no other"
    anyway = "To promote it all the same, add --unconfirmed"
    if is_claimless:
        return (
            f"{sweep.id} is unconfirmed: its confirmation came to no claim, and {why}. {anyway}. To see why it came to "
            f"none: meltpoint confirm {sweep.id}"
        )
    if obstacle := why_not_confirmable(sweep, trials, is_remote=is_remote):
        return f"{sweep.id} is unconfirmed: {why}. {anyway}. It cannot be confirmed now: {obstacle}"
    return f"{sweep.id} is unconfirmed: {why}. {anyway}. To confirm it first: meltpoint confirm {sweep.id}"


def _headline(decision: Json) -> str:
    from service.confirmations import Decision, summarize_decision  # importing it loads NumPy

    summary = summarize_decision(Decision.from_json(decision))
    return summary if summary.startswith("the default stands") else f"confirmed: {summary}"
