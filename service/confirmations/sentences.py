"""Plain sentences about a decision."""

from __future__ import annotations

from typing import Final

from service.confirmations.decisions import Decision, Doubt, Outcome
from service.confirmations.estimates import DifferenceEstimate
from service.confirmations.rules import IMAGES_FOR_CLAIM, IMAGES_FOR_PROBABILITY
from service.confirmations.score_texts import difference_text, interval_text, score_text

__all__ = ["explain_decision", "explain_doubt", "explain_leads", "summarize_decision", "what_next"]

_MOST_IMAGES: Final = 1_000_000
"""Largest number of needed images that is named; above it, more images are no way to tell two recipes apart."""


def summarize_decision(decision: Decision) -> str:
    """Return the answer in one sentence; a default that breaks a limit is not named without saying so."""
    breaks = decision.default.breaks
    warning = f", but it breaks a limit: {breaks}" if breaks and decision.winner is None else ""
    return f"{_answer(decision)}{warning}"


def _answer(decision: Decision) -> str:
    if decision.outcome is Outcome.NO_CLAIM:
        return "no claim: keep the default recipe"
    if decision.doubt is Doubt.LIMITS_BROKEN:
        return "the default stands: with fresh seeds every finalist breaks a limit"
    if decision.outcome is Outcome.DEFAULT_BEST:
        is_luck = any(finalist.raw > 0 for finalist in decision.finalists)
        return f"the default stands: no finalist is ahead of it{' once luck is taken off' if is_luck else ''}"
    leader = decision.finalist(decision.leader or "")
    if decision.outcome is Outcome.DEFAULT_STANDS:
        lead = _lead(decision, leader)
        return f"the default stands: the leader {_name(leader)} is {lead} ahead, which chance can explain"
    winner = decision.finalist(decision.winner or "")
    if winner is not leader:
        return (
            f"the winner is {_name(winner)}: cheaper than the leader {_name(leader)}, better than the default with "
            f"probability {_probability(winner)}, and expected to lose {_amount(decision, decision.expected_shortfall)}"
        )
    return f"the winner is {_name(winner)}: better than the default with probability {_probability(winner)}"


def explain_decision(decision: Decision) -> list[str]:
    """Return the answer, what it rests on, and what to do next, a sentence each."""
    lines = [summarize_decision(decision)]
    if decision.score is not None and decision.low is not None and decision.high is not None:
        interval = interval_text(decision.low, decision.high, bounded=decision.bounded)
        lines.append(
            f"{'score' if decision.bounded else 'loss'} of {_chosen(decision)} "
            f"{score_text(decision.score, bounded=decision.bounded)}, "
            f"{decision.confidence:.0%} interval {interval}, from {decision.confirm_images} confirmation images and "
            f"{decision.seeds} seeds"
        )
    if decision.naive is not None and decision.score is not None and decision.winner is not None:
        change = decision.naive - decision.score
        word = "better" if change >= 0 else "worse"
        naive = score_text(decision.naive, bounded=decision.bounded)
        lines.append(f"the search had measured {naive}: {_amount(decision, abs(change))} {word}")
    lines += [
        f"{_name(finalist)} minus the default: measured {difference_text(finalist.raw, bounded=decision.bounded)}, "
        f"corrected {_lead(decision, finalist)}, {decision.confidence:.0%} interval "
        f"{difference_text(finalist.low, bounded=decision.bounded)} to "
        f"{difference_text(finalist.high, bounded=decision.bounded)}"
        for finalist in decision.finalists
        if finalist.recipe.identity in (decision.leader, decision.winner)
    ]
    lines += _broken_limits(decision)
    if decision.agreement is not None:
        lines.append(f"a repeat of this size would agree with a chance of {decision.agreement:.0%}")
    return [*lines, *(sentence for sentence in (explain_doubt(decision), what_next(decision)) if sentence)]


def explain_leads(decision: Decision) -> list[str]:
    """Return how to read a table of retrained recipes with their leads, a sentence each; nothing without finalists."""
    if not decision.finalists:
        return []
    unit = "points" if decision.bounded else "loss, + is better"
    return [
        f"retrained: mean of {decision.seeds} fresh seeds on {decision.val_images} val + {decision.confirm_images} "
        "confirmation images",
        f"measured lead: retrained minus the default's, in {unit}",
        "corrected lead: a measured lead is partly luck, because the search picked the finalists by the same val "
        "images; the scores of all its trials tell how much is left; interval and P(better) are about this lead",
    ]


def _broken_limits(decision: Decision) -> list[str]:
    """Return which finalists are no candidates because of a limit, and that the default is none."""
    lines = [
        f"{_name(finalist)} cannot win: with fresh seeds it breaks a limit: {finalist.recipe.breaks}"
        for finalist in decision.finalists
        if finalist.recipe.breaks
    ]
    if decision.default.breaks and decision.winner is not None:
        lines.append(f"the default breaks a limit: {decision.default.breaks}")
    return lines


def explain_doubt(decision: Decision) -> str | None:
    """Return why there is no probability; None if there is one."""
    if decision.doubt is None:
        return None
    return {
        Doubt.FEW_SEEDS: f"no probability: {decision.seeds} seed of each recipe is left, at least 2 are needed"
        if decision.seeds == 1
        else f"no probability: {decision.seeds} seeds of each recipe are left, at least 2 are needed",
        Doubt.FEW_IMAGES_FOR_CLAIM: (
            f"no claim below {IMAGES_FOR_CLAIM} confirmation images ({decision.confirm_images})"
        ),
        Doubt.FEW_IMAGES_FOR_PROBABILITY: (
            f"no probability below {IMAGES_FOR_PROBABILITY} val + confirmation images "
            f"({decision.val_images + decision.confirm_images})"
        ),
        Doubt.IDENTICAL_PREDICTIONS: "no probability: the leader is right on the same images as the default",
        Doubt.NO_FINALISTS: "no probability: the search finished no recipe besides the default",
        Doubt.LIMITS_BROKEN: "no leader: no finalist keeps every limit of the sweep's metrics",
    }[decision.doubt]


def what_next(decision: Decision) -> str | None:
    """Return what would settle an open decision; None if nothing is open."""
    if decision.doubt is Doubt.FEW_SEEDS:
        return "run confirm again, so that failed retrainings are repeated"
    if decision.doubt is Doubt.FEW_IMAGES_FOR_CLAIM:
        return f"raise data.split.confirm to {IMAGES_FOR_CLAIM} images or more and run the sweep again"
    if decision.doubt is Doubt.FEW_IMAGES_FOR_PROBABILITY:
        return f"raise data.split to {IMAGES_FOR_PROBABILITY} val + confirm images or more and run the sweep again"
    if decision.leader is None or decision.needed_images is None:
        if decision.default.breaks and decision.winner is None:
            return "give the space a default that keeps every limit, and run the sweep again"
        return None
    leader = decision.finalist(decision.leader)
    if decision.needs_seeds:
        return f"to confirm {_lead(decision, leader)}, raise confirm.seeds: seeds differ more than images do"
    images = f"{_roughly(decision.needed_images)} val + confirmation images"
    return f"to confirm {_lead(decision, leader)}, {images} are needed"


def _roughly(images: int) -> str:
    """Return a number of images with the two figures that such an estimate is worth; round up."""
    unit = 10 ** max(len(str(images)) - 2, 0)
    rounded = -(-images // unit) * unit
    return f"about {rounded:,}" if rounded <= _MOST_IMAGES else "more than a million"


def _name(finalist: DifferenceEstimate) -> str:
    return f"trial {finalist.recipe.trial_number}"


def _chosen(decision: Decision) -> str:
    return "the default" if decision.winner is None else _name(decision.finalist(decision.winner))


def _lead(decision: Decision, finalist: DifferenceEstimate) -> str:
    return f"{difference_text(finalist.lead, bounded=decision.bounded)}{_unit(decision)}"


def _unit(decision: Decision) -> str:
    """Return the unit of differences; those of a loss have their sign turned, so that a positive one is better."""
    return " points" if decision.bounded else " in loss (+ is better)"


def _probability(finalist: DifferenceEstimate) -> str:
    """Round down, so that a probability below 1 is never shown as 1."""
    assert finalist.probability is not None
    return f"{min(finalist.probability, 0.999):.3f}"


def _amount(decision: Decision, difference: float | None) -> str:
    """Return the size of a difference with its unit."""
    amount = difference or 0.0
    return f"{100 * amount:.2f} points" if decision.bounded else f"{amount:.4f} in loss"
