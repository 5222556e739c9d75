"""Translations of a recipe into the settings of another training program, with all that it cannot express."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from search_spaces import Recipe
from search_spaces.backbones import written_freeze_depth
from service.exports.recipe_files import RecipeFile

__all__ = ["Translation", "common_differences", "setting"]


@dataclass(frozen=True, kw_only=True)
class Translation:
    """Settings of another program by their names there, and what the program cannot express, a line each."""

    program: str
    usage: str
    settings: dict[str, Any]
    left_out: list[str] = field(default_factory=list)

    def as_comment(self, file: RecipeFile, head: str) -> str:
        """Return the comment at the top of the file: how the recipe was chosen, and what is left out."""
        lines = [
            f"Recipe of sweep {file.chosen.sweep} ({file.chosen.name}) for {self.program}",
            head,
            f"Use it: {self.usage}",
            "A score of Meltpoint holds for Meltpoint's training. Left out or different here:",
            *(f"- {line}" for line in self.left_out),
        ]
        return "".join(f"# {line}\n" for line in lines)


def setting(recipe: Recipe, name: str) -> Any:
    """Return an active value of the recipe by its dotted name; None if the recipe does not use the name."""
    return recipe.flat().get(name)


def common_differences(file: RecipeFile) -> Iterator[str]:
    """Yield what no other program expresses: frozen stages, data and their split, the head, penalties, balance."""
    recipe = file.hyperparameters
    if recipe.freeze_depth:
        depth = written_freeze_depth(recipe.freeze_depth, backbone=recipe.backbone, own_stages=file.backbone.stages)
        stages = "" if file.backbone.stages is None else f" of {file.backbone.stages}"
        yield (
            f"freeze_depth: {depth} ({recipe.freeze_depth}{stages} stages, counted from the image, stay frozen; their "
            "BatchNorm and dropout run in evaluation mode): freeze them in the program's code"
        )
    yield f"data: the split of {file.data.name} into train, val, confirm and test by Meltpoint's rule, {_shares(file)}"
    yield "data: images are resized to a square without regard to their aspect ratio, and not cropped"
    for name, describe in _RARE.items():
        if (text := describe(setting(recipe, name))) is not None:
            yield f"{name}: {text}"


def _shares(file: RecipeFile) -> str:
    split = file.data.split
    return f"val {split.val:g}, confirm {split.confirm:g}, test {split.test:g}, seed {split.seed}"


def _unless(usual: object, text: str) -> Callable[[Any], str | None]:
    """Return a function that describes every value but the usual one and None."""
    return lambda value: None if value is None or value == usual else f"{value}: {text}"


_RARE: dict[str, Callable[[Any], str | None]] = {
    "head.hidden": _unless(0, "a hidden layer of this width before the classifier"),
    "head.norm": _unless("none", "BatchNorm before the classifier"),
    "head.pool_ratio": _unless(None, "fractional max-pooling by this factor"),
    "penalty.name": _unless("none", "a penalty in the loss, see the recipe"),
    "dropout.kind": lambda kind: f"{kind}: weights of the classifier are dropped" if kind == "dropconnect" else None,
    "dropout.scaling": _unless("inverted", "outputs are scaled in evaluation"),
    "augment.views": _unless(0, "number of views of an image, used in turn"),
    "augment.cutout": _unless(0.0, "side of a grey square, as a share of the image's side"),
    "balance.class_weights": _unless("none", "weights of the classes in the loss"),
    "balance.sampling": _unless("none", "sampling of the classes"),
}
