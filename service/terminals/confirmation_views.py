"""Show a decision: the answer first, what it rests on, and what to do next."""

from __future__ import annotations

from rich.console import Console

from service.confirmations import (
    Confirmation,
    difference_text,
    explain_decision,
    explain_leads,
    interval_text,
    score_text,
)
from service.formats import Format
from service.ledgers import Json, Sweep
from service.sweeps import confirmation_as_json, read_confirmation
from service.terminals.hints import print_next
from service.terminals.outputs import print_data, print_line, print_table

__all__ = ["show_confirmation", "show_decision"]


def show_confirmation(sweep: Sweep, form: Format, console: Console, confirmation: Confirmation | None = None) -> int:
    """Print the decision on stdout and the next command on stderr; return the exit code, 1 if there is no decision.

    confirmation: the sweep's, if its row does not have it, as that of a service.
    """
    confirmation = confirmation or read_confirmation(sweep)
    if confirmation is None or confirmation.decision is None:
        reason = f": {sweep.error}" if sweep.error else ""
        text = f"no decision yet: {sweep.id} is {sweep.state}{reason}"
        console.print(text, markup=False, soft_wrap=True)
        print_next("resume" if sweep.state.rests else "confirm", sweep.id)
        return 1
    if form is not Format.TABLE:
        print_data(confirmation_as_json(sweep, confirmation), form)
        return 0
    show_decision(confirmation)
    print_next("export", sweep.id)
    return 0


def show_decision(confirmation: Confirmation) -> None:
    """Print a decision on stdout: a table of the recipes, the answer, and what it rests on."""
    assert confirmation.decision is not None, "there is a decision"
    decision = confirmation.decision
    print_table(*_table(confirmation))
    for line in [*explain_leads(decision), "", *explain_decision(decision), *_test_lines(confirmation)]:
        print_line(line)


def _table(confirmation: Confirmation) -> tuple[list[str], list[list[str]]]:
    decision = confirmation.decision
    assert decision is not None
    bounded, default = decision.bounded, decision.default
    interval = f"{decision.confidence:.0%} interval"
    header = ["recipe", "search", "retrained", "measured lead", "corrected lead", interval, "P(better)"]
    rows = [["default", _score(default.naive, bounded), _score(default.pooled_mean, bounded), "", "", "", ""]]
    for finalist in decision.finalists:
        mark = " *" if finalist.recipe.identity == decision.winner else ""
        low, high = (difference_text(end, bounded=bounded) for end in (finalist.low, finalist.high))
        rows.append(
            [
                f"trial {finalist.recipe.trial_number}{mark}",
                _score(finalist.recipe.naive, bounded),
                _score(finalist.recipe.pooled_mean, bounded),
                difference_text(finalist.raw, bounded=bounded),
                difference_text(finalist.lead, bounded=bounded),
                f"{low} to {high}",
                "" if finalist.probability is None else f"{min(finalist.probability, 0.999):.3f}",
            ]
        )
    return header, rows


def _test_lines(confirmation: Confirmation) -> list[str]:
    test, decision = confirmation.test, confirmation.decision
    if test is None or decision is None:
        return []
    bounded, chosen = decision.bounded, test["chosen"]
    score = _score(chosen["mean"], bounded)
    lines = [f"on the {test['images']} test images: {score}{_interval(chosen, bounded)}"]
    if "difference" in test:
        difference = test["difference"]
        mean, unit = difference_text(difference["mean"], bounded=bounded), " points" if bounded else ""
        lines[0] += f"; the default {_score(test['default']['mean'], bounded)}, difference {mean}{unit}"
        if difference["low"] is not None:
            low, high = (difference_text(difference[end], bounded=bounded) for end in ("low", "high"))
            lines[0] += f" ({low} to {high})"
    deployed = test["deployed"]
    score = _score(deployed["score"], bounded)
    lines.append(f"the model to deploy is that of {deployed['trial_id']}, the first seed's: {score} on the test images")
    return lines


def _interval(mean: Json, bounded: bool) -> str:
    return "" if mean["low"] is None else f" ({interval_text(mean['low'], mean['high'], bounded=bounded)})"


def _score(value: float | None, bounded: bool) -> str:
    return "" if value is None else score_text(value, bounded=bounded)
