"""Show a decision: the answer first, what it rests on, and what to do next."""

from __future__ import annotations

from rich.console import Console

from service.confirmations import Confirmation, explain_decision
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
    print_table(*_table(confirmation))
    for line in [*explain_decision(confirmation.decision), *_test_lines(confirmation)]:
        print_line(line)


def _table(confirmation: Confirmation) -> tuple[list[str], list[list[str]]]:
    decision = confirmation.decision
    assert decision is not None
    header = ["recipe", "search", "retrained", "difference", "interval", "probability"]
    default = decision.default
    rows = [["default", _percent(default.naive), _percent(default.pooled_mean), "", "", ""]]
    for finalist in decision.finalists:
        mark = " *" if finalist.recipe.identity == decision.winner else ""
        rows.append(
            [
                f"trial {finalist.recipe.trial_number}{mark}",
                _percent(finalist.recipe.naive),
                _percent(finalist.recipe.pooled_mean),
                f"{100 * finalist.lead:+.2f}",
                f"{100 * finalist.low:+.2f} to {100 * finalist.high:+.2f}",
                "" if finalist.probability is None else f"{min(finalist.probability, 0.999):.3f}",
            ]
        )
    return header, rows


def _test_lines(confirmation: Confirmation) -> list[str]:
    test = confirmation.test
    if test is None:
        return []
    chosen = test["chosen"]
    lines = [f"on the {test['images']} test images: {_percent(chosen['mean'])}{_interval(chosen)}"]
    if "difference" in test:
        difference = test["difference"]
        lines[0] += (
            f"; the default {_percent(test['default']['mean'])}, difference {100 * difference['mean']:+.2f} points"
        )
        if difference["low"] is not None:
            lines[0] += f" ({100 * difference['low']:+.2f} to {100 * difference['high']:+.2f})"
    deployed = test["deployed"]
    score = _percent(deployed["score"])
    lines.append(f"the model to deploy is that of {deployed['trial_id']}, the first seed's: {score} on the test images")
    return lines


def _interval(mean: Json) -> str:
    return "" if mean["low"] is None else f" ({_percent(mean['low'])} to {_percent(mean['high'])})"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"
