"""Recipes as arguments of torchvision's references/classification/train.py.

The script is not part of the package. Source:
https://github.com/pytorch/vision/blob/main/references/classification/train.py
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from search_spaces import Recipe
from service.exports.recipe_files import RecipeFile
from service.exports.translations import Translation, common_differences, setting

__all__ = ["translate_for_torchvision"]

Settings = dict[str, Any]

_LIBRARY: Final = "torchvision/"
_OPTIMIZERS: Final = {
    "sgd": "sgd",
    "momentum": "sgd",
    "nesterov": "sgd_nesterov",
    "adamw": "adamw",
    "rmsprop": "rmsprop",
}


def translate_for_torchvision(file: RecipeFile) -> Translation:
    """Return the recipe as arguments of torchvision's reference script."""
    recipe = file.hyperparameters
    settings: Settings = {}
    left_out = list(common_differences(file))
    for translate in (_model, _optimizer, _schedule, _images, _regularization):
        left_out += translate(file, recipe, settings)
    left_out.append(f"training.seeds: {file.training.seeds[0]}: train.py sets no seed")
    left_out.append(f"training.best_epoch: best {file.training.metric}: train.py keeps the last epoch")
    return Translation(
        program="torchvision's references/classification/train.py",
        usage="python train.py --data-path DIR $(grep -v '^#' THIS_FILE), with the folders DIR/train and DIR/val",
        settings=settings,
        left_out=left_out,
    )


def _model(_file: RecipeFile, recipe: Recipe, settings: Settings) -> Iterator[str]:
    if recipe.backbone.startswith(_LIBRARY):
        settings["model"] = recipe.backbone.removeprefix(_LIBRARY)
    else:
        yield f"backbone: {recipe.backbone}: not a model of torchvision; give --model"
    if recipe.weights != "random":
        yield (
            f"weights: {recipe.weights}: with --weights, train.py accepts only the classes of ImageNet; load the "
            "weights and replace the classifier in its code"
        )
    if recipe.head.pool not in ("backbone", "avg"):
        yield f"head.pool: {recipe.head.pool}: no such pooling"
    if recipe.precision == "fp16":
        settings["amp"] = True
    elif recipe.precision != "fp32":
        yield f"precision: {recipe.precision}: --amp computes with float16"


def _optimizer(_file: RecipeFile, recipe: Recipe, settings: Settings) -> Iterator[str]:
    name = recipe.optimizer.name
    settings |= {"lr": recipe.optimizer.lr, "weight-decay": setting(recipe, "optimizer.weight_decay") or 0.0}
    if name in _OPTIMIZERS:
        settings |= {"opt": _OPTIMIZERS[name], "momentum": setting(recipe, "optimizer.momentum") or 0.0}
    else:
        yield f"optimizer: {name}: train.py cannot run it; give another --opt"
    if name == "adamw":
        betas, eps = setting(recipe, "optimizer.betas"), setting(recipe, "optimizer.eps")
        if list(betas) != [0.9, 0.999] or eps != 1e-8:
            yield f"optimizer: betas {betas} and eps {eps:g}: train.py uses 0.9, 0.999 and 1e-08"
    if name == "rmsprop":
        alpha, eps = setting(recipe, "optimizer.alpha"), setting(recipe, "optimizer.eps")
        yield f"optimizer: alpha {alpha:g} and eps {eps:g}: train.py uses 0.9 and 0.0316"
    if recipe.batch_size:
        settings["batch-size"] = recipe.batch_size
    else:
        yield "batch_size: 0 (all images in one step): give --batch-size"


def _schedule(file: RecipeFile, recipe: Recipe, settings: Settings) -> Iterator[str]:
    schedule, epochs = recipe.schedule, file.training.epochs
    settings["epochs"] = epochs
    if schedule.name == "step":
        settings |= {"lr-scheduler": "steplr", "lr-step-size": schedule.every, "lr-gamma": schedule.gamma}
    elif schedule.name == "exponential":
        settings |= {"lr-scheduler": "exponentiallr", "lr-gamma": schedule.gamma}
    elif schedule.name == "cosine":
        settings |= {"lr-scheduler": "cosineannealinglr", "lr-min": schedule.final * recipe.optimizer.lr}
    else:
        settings |= {"lr-scheduler": "steplr", "lr-step-size": epochs + 1, "lr-gamma": 1.0}
        if schedule.name != "constant":
            yield f"schedule: {schedule.name}: train.py has no such schedule; the rate stays constant here"
    if schedule.name in ("exponential", "cosine"):
        yield f"schedule: {schedule.name}: train.py changes the rate once in an epoch, Meltpoint at each step"
    if warmup := setting(recipe, "schedule.warmup_epochs"):
        settings |= {"lr-warmup-epochs": warmup, "lr-warmup-method": "linear"}
        yield "schedule.warmup_epochs: train.py raises the rate once in an epoch, from a hundredth on"


def _images(file: RecipeFile, recipe: Recipe, settings: Settings) -> Iterator[str]:
    size = file.data.image_size
    settings |= dict.fromkeys(("val-resize-size", "val-crop-size", "train-crop-size"), size)
    settings["interpolation"] = file.data.interpolation
    policy = recipe.augment.policy
    yield f"augment.policy: {policy}: train.py always mirrors half of the images and crops 8 to 100 % of their area"


def _regularization(_file: RecipeFile, recipe: Recipe, settings: Settings) -> Iterator[str]:
    mix = recipe.mix
    settings |= {"label-smoothing": mix.label_smoothing, "mixup-alpha": mix.mixup, "cutmix-alpha": mix.cutmix}
    if recipe.clip.norm:
        settings["clip-grad-norm"] = recipe.clip.norm
    if setting(recipe, "dropout.rate"):
        yield f"dropout.rate: {recipe.dropout.rate:g}: train.py keeps that of the model"
    if recipe.dropout.drop_path:
        yield f"dropout.drop_path: {recipe.dropout.drop_path:g}: train.py keeps that of the model"
    if recipe.averaging.name == "polyak":
        yield "averaging: polyak: --model-ema changes its decay by the number of epochs and the batch size"
    elif recipe.averaging.name != "none":
        yield f"averaging: {recipe.averaging.name}: train.py keeps no such ensemble"
