"""Recipes as a configuration of Lightning's command line, LightningCLI.

Trainer, optimizer and schedule are Lightning's and torch's; the model and the data are the user's own classes. Source:
https://lightning.ai/docs/pytorch/stable/cli/lightning_cli.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from search_spaces import Recipe
from service.exports.recipe_files import RecipeFile
from service.exports.translations import Translation, common_differences, setting

__all__ = ["translate_for_lightning"]

Settings = dict[str, Any]

_OPTIMIZERS: Final = {
    "sgd": "torch.optim.SGD",
    "momentum": "torch.optim.SGD",
    "nesterov": "torch.optim.SGD",
    "adagrad": "torch.optim.Adagrad",
    "rmsprop": "torch.optim.RMSprop",
    "adam": "torch.optim.Adam",
    "adamw": "torch.optim.AdamW",
    "lion": "timm.optim.Lion",
}
_PRECISIONS: Final = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
_SCHEDULES: Final = "torch.optim.lr_scheduler."


def translate_for_lightning(file: RecipeFile) -> Translation:
    """Return the recipe as a configuration of LightningCLI."""
    recipe = file.hyperparameters
    settings: Settings = {"seed_everything": file.training.seeds[0], "trainer": _trainer(file, recipe)}
    left_out = [*common_differences(file), *_own_classes(file, recipe)]
    left_out += _optimizer(recipe, settings)
    left_out += _schedule(file, recipe, settings)
    return Translation(
        program="LightningCLI of Lightning",
        usage="python YOUR_PROGRAM.py fit --config THIS_FILE, with your LightningModule and your LightningDataModule",
        settings=settings,
        left_out=left_out,
    )


def _trainer(file: RecipeFile, recipe: Recipe) -> Settings:
    keep_best = {"monitor": file.training.metric, "mode": file.training.goal[:3], "save_top_k": 1}
    trainer: Settings = {
        "max_epochs": file.training.epochs,
        "precision": _PRECISIONS[recipe.precision],
        "callbacks": [{"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": keep_best}],
    }
    if recipe.clip.norm:
        trainer |= {"gradient_clip_val": recipe.clip.norm, "gradient_clip_algorithm": "norm"}
    return trainer


def _own_classes(file: RecipeFile, recipe: Recipe) -> Iterator[str]:
    """Yield what the user's own model and data classes have to do."""
    data = file.data
    yield f"your LightningModule: backbone {recipe.backbone}, weights {recipe.weights}, {len(data.classes)} classes"
    yield f"your LightningModule: log {file.training.metric} after each epoch, by which the best epoch is kept"
    yield (
        f"your LightningDataModule: batches of {recipe.batch_size or 'all'} images of {data.image_size} pixels, "
        f"resized with {data.interpolation} interpolation, normalized for the backbone"
    )
    for name, usual, place in (
        ("augment.policy", "none", "LightningDataModule"),
        ("mix.label_smoothing", 0.0, "LightningModule"),
        ("mix.mixup", 0.0, "LightningModule"),
        ("mix.cutmix", 0.0, "LightningModule"),
        ("dropout.rate", 0.0, "LightningModule"),
        ("dropout.drop_path", 0.0, "LightningModule"),
        ("head.pool", "backbone", "LightningModule"),
        ("averaging.name", "none", "LightningModule"),
    ):
        value = setting(recipe, name)
        if value not in (None, usual):
            yield f"your {place}: {name} {value}"


def _optimizer(recipe: Recipe, settings: Settings) -> Iterator[str]:
    values = recipe.optimizer.model_dump()
    name = values.pop("name")
    if name not in _OPTIMIZERS:
        yield f"optimizer: {name}: needs a closure over all images, in your LightningModule"
        return
    if "betas" in values:
        values["betas"] = list(values["betas"])
    if name == "nesterov":
        values["nesterov"] = True
    settings["optimizer"] = {"class_path": _OPTIMIZERS[name], "init_args": values}


def _schedule(file: RecipeFile, recipe: Recipe, settings: Settings) -> Iterator[str]:
    schedule, epochs = recipe.schedule, file.training.epochs
    arguments: Settings
    if schedule.name == "constant":
        name, arguments = "", {}
    elif schedule.name == "step":
        name, arguments = "StepLR", {"step_size": schedule.every, "gamma": schedule.gamma}
    elif schedule.name == "exponential":
        name, arguments = "ExponentialLR", {"gamma": schedule.gamma}
    elif schedule.name == "linear":
        name, arguments = "LinearLR", {"start_factor": 1.0, "end_factor": schedule.final, "total_iters": epochs}
    elif schedule.name == "cosine":
        name, arguments = "CosineAnnealingLR", {"T_max": epochs, "eta_min": schedule.final * recipe.optimizer.lr}
    elif schedule.name == "cosine_restarts":
        least = schedule.final * recipe.optimizer.lr
        name, arguments = "CosineAnnealingWarmRestarts", {"T_0": max(1, epochs // schedule.cycles), "eta_min": least}
    else:
        name, arguments = "", {}
        yield f"schedule: {schedule.name}: torch has no such schedule; the rate stays constant here"
    if name:
        settings["lr_scheduler"] = {"class_path": f"{_SCHEDULES}{name}", "init_args": arguments}
        if schedule.name != "step":
            yield f"schedule: {schedule.name}: LightningCLI changes the rate once in an epoch, Meltpoint at each step"
    if warmup := setting(recipe, "schedule.warmup_epochs"):
        yield f"schedule.warmup_epochs: {warmup}: not part of this schedule"
