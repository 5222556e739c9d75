"""The settings of a sweep, as its row in the ledger keeps them."""

from __future__ import annotations

from search_spaces import PARAMETERS, SCHEDULER_KEYS, MeltpointError, SweepSpec, varying_names
from service.ledgers import REVISABLE_SECTIONS, Json

__all__ = ["flat_settings", "revisable_settings"]


def flat_settings(spec: SweepSpec) -> Json:
    """Return the settings of the sweep file, flat, as MLflow shows them at the sweep's run."""
    sections = {
        "search": spec.search.model_dump(exclude={"points"}),
        "scheduler": spec.scheduler.model_dump(include={"type", *SCHEDULER_KEYS[spec.scheduler.type]}),
        "budget": spec.budget.model_dump(),
        "resources": spec.resources.model_dump(),
        "metric": spec.metric.model_dump(),
        "confirm": spec.confirm.model_dump() if spec.confirm else {},
    }
    flat = {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}
    flat["space.drawn"] = _drawn(spec)
    flat["register.model"] = spec.registration.model if spec.registration else spec.name
    return {name: value for name, value in flat.items() if value is not None}


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
