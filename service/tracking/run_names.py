"""Names of MLflow's runs, short enough to read in a table and unique within a sweep; and of some params and metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from search_spaces.backbones import written_freeze_depth
from service.ledgers import Sweep, Trial, TrialPhase
from service.reports import heading

__all__ = [
    "BEST_SIGN",
    "RANK",
    "WINNER_SIGN",
    "WRITTEN_DEPTH",
    "log10_name",
    "short_number",
    "trial_name",
    "trial_number",
]

WINNER_SIGN, BEST_SIGN = "★", "☆"
"""Signs in the name of a run: the recipe that a confirmation chose, and the best of an unconfirmed search."""

RANK = "best/rank"
"""The metric by which the view is ordered: 0 for the recipe that a confirmation chose, 1 for the best of the search."""

WRITTEN_DEPTH = "freeze_depth.written"
"""The param with the freeze depth as sweep files write it, such as `-2` or `all`."""

_FIRST = ("optimizer.name", "optimizer.lr", "freeze_depth", "augment.policy")
"""Hyperparameters that a name gives before others."""

_SHOWN_BARE = ("optimizer.name", "augment.policy", "backbone", "schedule.name")
_MOST_VALUES = 4
_LONGEST = 120


def trial_number(trial: Trial) -> str:
    """Return a trial's number as its id has it, such as `0010`, or `c003` for a retraining."""
    return trial.id.removeprefix(f"{trial.sweep_id}-")


def trial_name(sweep: Sweep, trial: Trial, *, sign: str = "") -> str:
    """Return the name of a trial's run, such as `0010 adamw lr 2.2e-3 freeze -2 none`.

    The number is followed by the hyperparameters that differ between the sweep's trials. A retraining's name ends with
    its seed. sign: follows the number, so that names still sort by it and MLflow's narrow column shows both.
    """
    drawn = [name for name in _FIRST if name in sweep.drawn]
    drawn += [name for name in sweep.drawn if name not in _FIRST]
    backbone = trial.recipe.get("backbone")
    own_stages = sweep.own_stages(backbone)
    parts = [_part(trial.recipe, name, own_stages) for name in drawn if name in trial.recipe][:_MOST_VALUES]
    ending = [f"seed {trial.seed}"] if trial.phase is TrialPhase.CONFIRM else []
    name = " ".join([trial_number(trial), *([sign] if sign else []), *parts])
    return " ".join([name[:_LONGEST], *ending])


def _part(recipe: Mapping[str, Any], name: str, own_stages: int | None) -> str:
    value = recipe[name]
    if name == "freeze_depth":
        return f"freeze {written_freeze_depth(value, backbone=str(recipe.get('backbone')), own_stages=own_stages)}"
    if name in _SHOWN_BARE:
        return str(value).rpartition("/")[2]
    return f"{heading(name)} {short_number(value)}"


def short_number(value: Any) -> str:
    """Return a value as text; a float with two digits, such as `0.12` or `2.2e-3`."""
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    if 0.01 <= abs(value) < 1000:
        return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"{digits.removesuffix('.0')}e{int(exponent)}"


def log10_name(name: str) -> str:
    """Return the name of the param with the power of ten of another, such as `optimizer.log10_lr`."""
    group, dot, last = name.rpartition(".")
    return f"{group}{dot}log10_{last}"
