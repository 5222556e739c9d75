"""The top of the page: the answer in words, the recipe, and what the sweep cost."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

from service.formats import counted
from service.reports import short
from service.sweep_reports.facts import SweepReport, duration, score
from service.sweep_reports.facts.base import named

__all__ = ["render_answer", "render_costs", "render_heading"]

_BADGES: Final = {
    "confirmed": ("✓", "Confirmed winner"),
    "default stands": ("=", "The default stands"),
    "no claim": ("?", "No claim"),
    "unconfirmed": ("?", "Unconfirmed"),
    "under way": ("…", "Under way"),
    "no result": ("✕", "No result"),
}


def render_heading(report: SweepReport) -> str:
    """Return the sweep's name, and what it was."""
    sweep = report.sweep
    parts = [sweep.sweep_id, sweep.state]
    if sweep.started_at is not None:
        parts.append(f"started {datetime.fromtimestamp(sweep.started_at / 1000, UTC):%Y-%m-%d %H:%M} UTC")
    if sweep.data:
        images = f"{sweep.images:,} images of {sweep.data}" if sweep.images else sweep.data
        parts.append(f"{images}, {sweep.classes} classes" if sweep.classes else images)
    parts.append(f"{sweep.metric}, {'higher' if sweep.goal == 'maximize' else 'lower'} is better")
    parts += sweep.data_notes
    if sweep.owner:
        parts.append(f"submitted by {sweep.owner}")
    facts = "".join(f"<li>{escape(part)}</li>" for part in parts)
    return f'<header><h1>{escape(sweep.name)}</h1><ul class="facts">{facts}</ul></header>'


def render_answer(report: SweepReport) -> str:
    """Return the decision in words, with the recipe to use."""
    headline = report.headline
    sign, word = _BADGES[headline.standing]
    details = "".join(f"<li>{escape(text)}</li>" for text in headline.details)
    style = headline.standing.replace(" ", "-")
    return (
        f'<section class="answer {style}" id="answer"><h2><span class="badge">'
        f'<span aria-hidden="true">{sign}</span> {word}</span></h2>'
        f'<p class="lead">{escape(headline.sentence)}</p>'
        f"{f'<ul>{details}</ul>' if details else ''}{_recipe(report)}</section>"
    )


def _recipe(report: SweepReport) -> str:
    headline = report.headline
    if not headline.recipe:
        return ""
    drawn = [name for name in headline.drawn if name in headline.recipe]
    shown = "".join(_entry(report, name) for name in drawn)
    whole = "".join(_entry(report, name) for name in headline.recipe)
    source = f"of {named(headline.trial_id)}" if headline.trial_id else "of the default"
    model = ""
    if headline.model:
        trial = f" of {named(headline.model_trial_id)}, the best of the search," if headline.model_trial_id else ""
        model = f'<p class="note">The sweep registered the model{trial} as <code>{escape(headline.model)}</code></p>'
        if headline.kept:
            model += f'<p class="note">{escape(headline.kept)}</p>'
    word = "Best recipe" if headline.standing in ("unconfirmed", "under way") else "Recipe to use"
    return (
        f'<h3>{word}, {escape(source)}</h3><dl class="recipe">{shown}</dl>{model}'
        f'<details><summary>Every hyperparameter</summary><dl class="recipe">{whole}</dl></details>'
    )


def _entry(report: SweepReport, name: str) -> str:
    """Return a hyperparameter of the recipe; on a phone its name breaks behind a dot or an underscore."""
    breaking = re.sub(r"[._]", r"\g<0><wbr>", escape(name))
    return f"<div><dt>{breaking}</dt><dd>{escape(_value(report, name))}</dd></div>"


def _value(report: SweepReport, name: str) -> str:
    value: Any = report.headline.recipe[name]
    if name == "freeze_depth" and report.headline.written_freeze_depth:
        return f"{report.headline.written_freeze_depth} ({counted(value, 'stage')} frozen)"
    return short(value)


def render_costs(report: SweepReport) -> str:
    """Return what the sweep cost, in a sentence and a few numbers."""
    costs = report.costs
    trials = sum(costs.states.values())
    states = ", ".join(f"{count} {state}" for state, count in costs.states.items() if count)
    tiles = [("trials", f"{trials}", states or "none yet")]
    best = report.headline
    if best.value is not None:
        between = "" if best.low is None or best.high is None else f"95 %: {score(best.low)} to {score(best.high)}"
        where = "on confirmation images" if best.low is not None else report.sweep.metric
        tiles.insert(0, ("score", score(best.value), between or where))
    if costs.wall_seconds is not None:
        busy = costs.search_seconds + costs.confirm_seconds
        tiles.append(("time", duration(costs.wall_seconds), f"{duration(busy)} in epochs, workers added up"))
    if costs.saved_seconds and costs.saved_seconds > 0:
        tiles.append(("saved by sharing", duration(costs.saved_seconds), "of the workers' time"))
    elif costs.images_read:
        tiles.append(("shared", f"{costs.images_read:,}", "images read, not computed"))
    if costs.planned_epochs and costs.epochs < costs.planned_epochs:
        spared = f", {costs.spared_epochs} spared by pruning" if costs.spared_epochs else ""
        tiles.append(("epochs trained", f"{costs.epochs}", f"of {costs.planned_epochs}{spared}"))
    body = "".join(
        f"<div><dt>{escape(name)}</dt><dd><b>{escape(value)}</b><span>{escape(more)}</span></dd></div>"
        for name, value, more in tiles
    )
    text = f"<h2>What it cost</h2><p>{escape(costs.sentence)}</p>"
    return f'<section id="cost">{text}<dl class="tiles">{body}</dl></section>'
