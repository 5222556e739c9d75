"""The settings of a sweep, as its row in the ledger keeps them."""

from __future__ import annotations

from search_spaces import (
    BACKBONES,
    PARAMETERS,
    SCHEDULER_KEYS,
    MeltpointError,
    Range,
    SweepSpec,
    values_used,
    varying_names,
)
from search_spaces.extensions import count_own_stages, modules_in
from service.ledgers import LOG_SCALED, OWN_STAGES, REVISABLE_SECTIONS, Json
from service.objectives import Objectives

__all__ = ["flat_settings", "learned_settings", "revisable_settings"]


def flat_settings(spec: SweepSpec) -> Json:
    """Return the settings of the sweep file, flat, as MLflow shows them at the sweep's run."""
    sections = {
        "search": spec.search.model_dump(exclude={"points", "earlier"}),
        "scheduler": spec.scheduler.model_dump(include={"type", *SCHEDULER_KEYS[spec.scheduler.type]}),
        "budget": spec.budget.model_dump(),
        "resources": spec.resources.model_dump(),
        "metric": spec.metric.model_dump(),
        "confirm": spec.confirm.model_dump() if spec.confirm else {},
    }
    flat = {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}
    if spec.search.earlier:
        flat["search.from"] = list(spec.search.earlier)
    if spec.further_metrics:
        flat["metric.further"] = [entry.as_json() for entry in Objectives.from_specs(spec.metrics).entries[1:]]
    flat["space.drawn"] = _drawn(spec)
    flat[LOG_SCALED] = _log_scaled(spec)
    flat[OWN_STAGES] = _count_own_stages(spec) or None
    flat["register.model"] = spec.registration.model if spec.registration else spec.name
    if spec.registration and spec.registration.top_k > 1:
        flat["register.top_k"] = spec.registration.top_k
    return {name: value for name, value in flat.items() if value is not None}


def learned_settings(spec: SweepSpec) -> Json:
    """Return those settings that only a program knows that can count the stages of own backbones; often none."""
    counts = _count_own_stages(spec)
    return {OWN_STAGES: counts, "space.drawn": _drawn(spec)} if counts else {}


def revisable_settings(spec: SweepSpec) -> Json:
    """Return those settings of the sweep file that may change after the sweep has begun."""
    return {name: value for name, value in flat_settings(spec).items() if name.partition(".")[0] in REVISABLE_SECTIONS}


def _drawn(spec: SweepSpec) -> list[str]:
    """Return the names that may differ between trials.

    A process that may not import the user's own backbones, such as a service's API, cannot resolve their freeze depths,
    and names every hyperparameter whose domain has several values.
    """
    try:
        return varying_names(spec)
    except MeltpointError:
        names = {entry.name for entry in spec.space.entries if entry.domain.size != 1}
        return [name for name in PARAMETERS if name in names]


def _log_scaled(spec: SweepSpec) -> list[str]:
    """Return the names that a range of the space draws on a logarithmic scale."""
    names = {entry.name for entry in spec.space.entries if isinstance(entry.domain, Range) and entry.domain.log}
    return [name for name in PARAMETERS if name in names]


def _count_own_stages(spec: SweepSpec) -> dict[str, int]:
    """Return the number of stages of each own backbone of the sweep; none if this program cannot count them."""
    try:
        names = [str(name) for name in values_used(spec, "backbone")]
    except MeltpointError:
        return {}
    with modules_in(spec.folder):
        counts = {name: count_own_stages(name) for name in names if name not in BACKBONES}
    return {name: count for name, count in counts.items() if count is not None}
