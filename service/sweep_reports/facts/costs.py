"""The cost of a sweep: time, and what early stopping and shared activations saved."""

from __future__ import annotations

from service.ledgers import Json, TrialState
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
    spared_epochs: int | None = None
    """Epochs that pruned trials did not train."""
    images_computed: int
    """Images whose frozen stages were computed, search and confirmation added up."""
    images_read: int
    """Images whose activations were read; a trial also reads those that it has just computed and kept."""
    image_passes: int | None = None
    """Images that trainings and evaluations asked for; null if an older version trained any of them."""
    saved_seconds: float | None = None
    """Time of workers that reading saved, by the times that each trial measured.

    Workers save at the same time, so that it may be longer than the sweep. Null if an older version trained them.
    """


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
    pruned = [trial for trial in rows.trials if trial.state is TrialState.PRUNED]
    used = [int(each["used"]) for each in sharing if "used" in each]
    facts = {
        "wall_seconds": rows.sweep.seconds,
        "search_seconds": decimals(search, 3),
        "confirm_seconds": decimals(confirm, 3),
        "retrainings": len(rows.retrainings),
        "states": rows.board.counts(),
        "epochs": epochs,
        "planned_epochs": int(each) * len(rows.trials) if each else None,
        "spared_epochs": sum(max(0, int(each) - trial.epochs) for trial in pruned) if each else None,
        "images_computed": sum(int(each["computed"]) for each in sharing),
        "images_read": sum(int(each["read"]) for each in sharing),
        "image_passes": sum(used) if used and len(used) == len(sharing) else None,
        "saved_seconds": decimals(sum(saved), 3) if saved else None,
    }
    return Costs(sentence=_sentence(facts), is_shown=bool(rows.trials), **facts)


def _sentence(facts: Json) -> str:
    wall, busy = facts["wall_seconds"], facts["search_seconds"] + facts["confirm_seconds"]
    if not facts["states"] or not sum(facts["states"].values()):
        return "Nothing was trained."
    text = f"The sweep took {duration(wall)}" if wall is not None else "The sweep is under way"
    text += f"; the epochs of its trials took {duration(busy)}, all workers added up"
    if facts["confirm_seconds"]:
        text += f", {duration(facts['confirm_seconds'])} of it for the confirmation"
    parts = [text]
    if facts["spared_epochs"]:
        spared, planned = facts["spared_epochs"], facts["planned_epochs"]
        parts.append(f"Early stopping spared {spared} of {planned} epochs of the search")
    if facts["images_read"]:
        saved = facts["saved_seconds"]
        time = f", which saved the workers about {duration(saved)}" if saved and saved > 0 else ""
        parts.append(f"{_sharing(facts)}{time}")
    return ". ".join(parts) + "."


def _sharing(facts: Json) -> str:
    """Return how many image passes were read from the cache, as the beginning of a sentence."""
    passes, computed = facts["image_passes"], facts["images_computed"]
    if passes is None or passes <= computed:
        return f"Sharing let trials read the activations of {facts['images_read']:,} images"
    skipped = passes - computed
    return f"Sharing let {skipped:,} of {passes:,} image passes ({skipped / passes:.0%}) skip the frozen stages"
