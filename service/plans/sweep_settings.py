"""The settings of a sweep, as its row in the ledger keeps them."""

from __future__ import annotations

from search_spaces import SCHEDULER_KEYS, SweepSpec, varying_names
from service.ledgers import Json

__all__ = ["flat_settings"]


def flat_settings(spec: SweepSpec) -> Json:
    """Return the settings of the sweep file, flat, as MLflow shows them at the sweep's run."""
    sections = {
        "search": spec.search.model_dump(exclude={"points"}),
        "scheduler": spec.scheduler.model_dump(include={"type", *SCHEDULER_KEYS[spec.scheduler.type]}),
        "budget": spec.budget.model_dump(),
        "resources": spec.resources.model_dump(),
        "metric": spec.metric.model_dump(),
    }
    flat = {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}
    flat["space.drawn"] = varying_names(spec)
    flat["register.model"] = spec.registration.model if spec.registration else spec.name
    return {name: value for name, value in flat.items() if value is not None}
