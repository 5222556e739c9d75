"""The cost of a sweep: time, and what early stopping and shared activations saved."""

from __future__ import annotations

from service.ledgers import Json
from service.sweep_reports.facts.base import Section, decimals, duration
from service.sweep_reports.facts.rows import SweepRows

__all__ = ["Costs", "read_costs"]


class Costs(Section):
    """Time, epochs and shared work of a sweep."""

    wall_seconds: float | None = None
    """From start to end; null before the end."""
    search_seconds: float
    """Time in finished epochs of all trials of the search, workers added up."""
    confirm_seconds: float
    """The same of the confirmation's retrainings."""
    retrainings: int
    states: dict[str, int]
    """Numbers of the search's trials by state."""
    epochs: int
    """Epochs that the search trained."""
    planned_epochs: int | None = None
    """Epochs if every trial of the search had trained all its epochs."""
    images_computed: int
    """Images whose frozen stages were computed, search and confirmation added up."""
    images_read: int
    """Images whose activations another pass had computed already, so that they were only read."""
    saved_seconds: float | None = None
    """Time that reading saved, by the times that each trial measured; null if an older version trained them."""


def read_costs(rows: SweepRows) -> Costs:
    """Add up the cost of a sweep."""
    search, confirm = (
        sum(row.seconds for trial in trials for row in rows.epochs.get(trial.id, ()))
        for trials in (rows.trials, rows.retrainings)
    )
    sharing = [trial.sharing for trial in (*rows.trials, *rows.retrainings) if trial.sharing]
    saved = [float(each["saved_seconds"]) for each in sharing if each.get("saved_seconds") is not None]
    epochs = sum(trial.epochs for trial in rows.trials)
    each = rows.sweep.settings.get("budget.epochs")
    facts = {
        "wall_seconds": rows.sweep.seconds,
        "search_seconds": decimals(search, 3),
        "confirm_seconds": decimals(confirm, 3),
        "retrainings": len(rows.retrainings),
        "states": rows.board.counts(),
        "epochs": epochs,
        "planned_epochs": int(each) * len(rows.trials) if each else None,
        "images_computed": sum(int(each["computed"]) for each in sharing),
        "images_read": sum(int(each["read"]) for each in sharing),
        "saved_seconds": decimals(sum(saved), 3) if saved else None,
    }
    return Costs(sentence=_sentence(facts), is_shown=bool(rows.trials), **facts)


def _sentence(facts: Json) -> str:
    wall, busy = facts["wall_seconds"], facts["search_seconds"] + facts["confirm_seconds"]
    if not facts["states"] or not sum(facts["states"].values()):
        return "Nothing was trained."
    text = f"The sweep took {duration(wall)}" if wall is not None else "The sweep is under way"
    text += f" and its workers trained for {duration(busy)}"
    if facts["confirm_seconds"]:
        text += f", {duration(facts['confirm_seconds'])} of it for the confirmation"
    parts = [text]
    planned, epochs = facts["planned_epochs"], facts["epochs"]
    if planned and epochs < planned and facts["states"].get("pruned"):
        parts.append(f"Early stopping spared {planned - epochs} of {planned} epochs of the search")
    passes = facts["images_computed"] + facts["images_read"]
    if facts["images_read"]:
        shared = f"Sharing let {facts['images_read'] / passes:.0%} of {passes:,} image passes skip the frozen stages"
        saved = facts["saved_seconds"]
        parts.append(f"{shared}, which saved about {duration(saved)}" if saved else shared)
    return ". ".join(parts) + "."
