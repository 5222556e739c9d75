"""Model cards: descriptions of registered versions, in one shape for candidates and for promoted models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search_spaces import Metric
from search_spaces.backbones import written_freeze_depth
from service.ledgers import Sweep, Trial
from service.shares import wilson_bounds

__all__ = ["ModelCard", "write_card"]

_MOST_CLASSES = 30
"""Most classes whose numbers of images are listed."""

_FEW_NAMES = 10
"""Number of classes that are named if all of them are too many."""

_LONGEST = 5000
"""Characters that MLflow's databases keep of a version's description; PostgreSQL refuses a longer one."""

_SPLITS = ("train", "val", "confirm", "test")


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Facts that a version's description adds to the records of sweep and trial.

    headline: how the model was chosen, as Markdown. uri: the name by which it is called, such as `models:/x@champion`.
    test: readings on the test images, by measure. test_images: their number. evidence: further sentences about its
    score. limits: further sentences about what it must not be used for.
    """

    headline: str
    uri: str
    test: Mapping[str, float | None] = field(default_factory=dict)
    test_images: int = 0
    evidence: Sequence[str] = ()
    limits: Sequence[str] = ()


def write_card(sweep: Sweep, trial: Trial, card: ModelCard) -> str:
    """Return the card as Markdown: origin, scores, data, limits, how to call it, recipe.

    It has at most 5,000 characters. Classes are left out first: their numbers of images, then most of their names.
    """
    data = _counts(sweep), _names(sweep), _names(sweep, most=_FEW_NAMES)
    texts = [_write(sweep, trial, card, classes) for classes in data]
    text = next((text for text in texts if len(text) <= _LONGEST), texts[-1])
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]}\n..."


def _write(sweep: Sweep, trial: Trial, card: ModelCard, classes: Sequence[str]) -> str:
    return "\n".join(
        [
            card.headline,
            *([] if trial.id in card.headline else [f"Sweep {sweep.id} ({sweep.name}), {trial.id}."]),
            *card.evidence,
            "",
            *_scores(sweep, trial, card),
            "",
            "**Images**",
            "",
            *classes,
            "",
            *_limits(sweep, card),
            "",
            *_calls(card),
            "",
            *_recipe(sweep, trial),
        ]
    )


def _scores(sweep: Sweep, trial: Trial, card: ModelCard) -> list[str]:
    metric = Metric(sweep.metric)
    val = sweep.count_images("val")
    best = "unknown" if trial.best_value is None else f"{trial.best_value:.4f}"
    on_val = f"- {metric} {best} in epoch {trial.best_epoch}"
    on_val += f", on {val} images by which epoch and trial were chosen: rather too good" if val else ""
    return ["**Scores of this model**", "", on_val, *_test_scores(metric, card)]


def _test_scores(metric: Metric, card: ModelCard) -> list[str]:
    """Return a line for the sweep's measure and for accuracy on the test images, as far as they are known."""
    lines = []
    for measure in dict.fromkeys((metric.measure, "accuracy")):
        value = card.test.get(measure)
        if value is None:
            continue
        line = f"- test/{measure} {value:.4f}"
        if measure == "accuracy" and card.test_images:
            low, high = wilson_bounds(value, card.test_images)
            line += f", 95 % interval {low:.4f} to {high:.4f}"
        if card.test_images:
            line += f" ({_of_images(measure, value, card.test_images)})"
        lines.append(line)
    return lines or ["- not read on test images"]


def _of_images(measure: str, value: float, images: int) -> str:
    return f"{round(value * images)} of {images} images" if measure == "accuracy" else f"{images} images"


def _names(sweep: Sweep, *, most: int | None = None) -> list[str]:
    """Return the size of the images, the names of the classes, and the sizes of the splits. most: names at most."""
    data, names = sweep.data, list(sweep.data["classes"])
    shown = ", ".join(names[:most]) + (f" and {len(names) - most} more" if most and len(names) > most else "")
    sizes = {split: sweep.count_images(split) for split in _SPLITS}
    return [
        f"- {data['name']}, {data['image_size']} px; {len(names)} classes in order: {shown}",
        "- " + ", ".join(f"{count} {split}" for split, count in sizes.items() if count),
    ]


def _counts(sweep: Sweep) -> list[str]:
    """Return `_names` and, unless the classes are many, a table with the number of images of each class."""
    lines, classes = _names(sweep), sweep.data["classes"]
    if len(classes) > _MOST_CLASSES:
        return lines
    splits = [split for split in _SPLITS if sweep.count_images(split)]
    rows = [
        f"| {name} | {' | '.join(str(counts.get(split, 0)) for split in splits)} |" for name, counts in classes.items()
    ]
    return [*lines, "", f"| class | {' | '.join(splits)} |", f"| --- |{' --- |' * len(splits)}", *rows]


def _limits(sweep: Sweep, card: ModelCard) -> list[str]:
    return [
        "**Limits**",
        "",
        *(f"- {sentence}" for sentence in card.limits),
        "- It knows these classes only: a photo of something else gets one of them all the same.",
        "- Its scores hold for photos like these; other cameras, light or places may have other scores.",
        f"- It sees photos at {sweep.data['image_size']} px, stretched to a square.",
    ]


def _calls(card: ModelCard) -> list[str]:
    return [
        "**Call it**",
        "",
        "```python",
        f'model = mlflow.pyfunc.load_model("{card.uri}")',
        "# photos: uint8 pixels from 0 to 255, images x height x width x 3; the result: a probability for each class",
        "model.predict(photos)",
        "```",
        "",
        "```",
        f"mlflow models serve -m {card.uri} --env-manager local -p 5001",
        "curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' -d '{\"inputs\": [photo, ...]}'",
        "```",
    ]


def _recipe(sweep: Sweep, trial: Trial) -> list[str]:
    backbone = str(trial.recipe["backbone"])
    depth = written_freeze_depth(trial.recipe["freeze_depth"], backbone=backbone, own_stages=sweep.own_stages(backbone))
    recipe = trial.recipe | {"freeze_depth": f"{depth} ({trial.recipe['freeze_depth']} stages are frozen)"}
    return ["| hyperparameter | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in recipe.items())]
