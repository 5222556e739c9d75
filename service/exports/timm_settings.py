"""Recipes as settings of train.py of timm (pytorch-image-models), checked against version 1.0.29.dev0 of the script.

The script is not part of the package; its `--config` takes a YAML file of its arguments' names. Source:
https://github.com/huggingface/pytorch-image-models/blob/main/train.py
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from search_spaces import Recipe
from service.exports.recipe_files import RecipeFile
from service.exports.translations import Translation, common_differences, setting

__all__ = ["translate_for_timm"]

Settings = dict[str, Any]

_LIBRARY: Final = "timm/"
_OPTIMIZERS: Final[dict[str, Settings]] = {
    "sgd": {"opt": "momentum", "momentum": 0.0},  # timm's `sgd` is Nesterov's
    "momentum": {"opt": "momentum"},
    "nesterov": {"opt": "nesterov"},
    "adagrad": {"opt": "adagrad"},
    "rmsprop": {"opt": "rmsprop", "momentum": 0.0},
    "adam": {"opt": "adam"},
    "adamw": {"opt": "adamw"},
    "lion": {"opt": "lion"},
}
_CROPS: Final = {"none": None, "flip": (1.0, 1.0), "color": (1.0, 1.0), "flip_crop": (0.5, 1.0), "lecture7": (0.5, 1.0)}
"""Range of a crop's area by augmentation policy; None for unchanged images."""


def translate_for_timm(file: RecipeFile) -> Translation:
    """Return the recipe as settings of timm's train.py."""
    recipe = file.hyperparameters
    settings: Settings = {"num_classes": len(file.data.classes), "seed": file.training.seeds[0]}
    left_out = list(common_differences(file))
    for translate in (_model, _data, _optimizer, _schedule, _augmentation, _regularization, _averaging):
        left_out += translate(file, recipe, settings)
    return Translation(
        program="train.py of timm (pytorch-image-models)",
        usage="python train.py --config THIS_FILE --data-dir DIR, with the folders DIR/train and DIR/validation",
        settings=settings,
        left_out=left_out,
    )


def _model(file: RecipeFile, recipe: Recipe, settings: Settings) -> Iterator[str]:
    if recipe.backbone.startswith(_LIBRARY):
        settings["model"] = recipe.backbone.removeprefix(_LIBRARY)
    else:
        yield f"backbone: {recipe.backbone}: not a model of timm; give --model"
    weights = recipe.weights.partition("#sha256=")[0]
    settings["pretrained"] = weights != "random"
    if weights not in ("pretrained", "random"):
        settings["pretrained_path"] = weights
    if file.backbone.weights_sha256 is not None:
        yield f"weights: train.py does not compare their digest, {file.backbone.weights_sha256[:16]}..."
    if recipe.head.pool in ("avg", "max"):
        settings["gp"] = recipe.head.pool
    elif recipe.head.pool != "backbone":
        yield f"head.pool: {recipe.head.pool}: no such pooling"
    if recipe.precision != "fp32":
        settings |= {"amp": True, "amp_dtype": "bfloat16" if recipe.precision == "bf16" else "float16"}


def _data(file: RecipeFile, _recipe: Recipe, settings: Settings) -> Iterator[str]:
    size, interpolation = file.data.image_size, file.data.interpolation
    settings |= {"input_size": [3, size, size], "crop_pct": 1.0}
    settings |= {"interpolation": interpolation, "train_interpolation": interpolation}
    metric = file.training.metric
    if metric == "val/accuracy":
        settings["eval_metric"] = "top1"
    elif metric == "val/loss":
        settings["eval_metric"] = "loss"
    else:
        yield f"metric: {metric}: train.py keeps the epoch with the best top1 or loss"


def _optimizer(_file: RecipeFile, recipe: Recipe, settings: Settings) -> Iterator[str]:
    settings |= {"lr": recipe.optimizer.lr, "weight_decay": setting(recipe, "optimizer.weight_decay") or 0.0}
    if recipe.optimizer.name not in _OPTIMIZERS:
        yield f"optimizer: {recipe.optimizer.name}: train.py cannot run it; give another --opt"
        return
    settings |= _OPTIMIZERS[recipe.optimizer.name]
    for name, argument in (("momentum", "momentum"), ("eps", "opt_eps"), ("betas", "opt_betas")):
        if (value := setting(recipe, f"optimizer.{name}")) is not None:
            settings[argument] = value
    if (alpha := setting(recipe, "optimizer.alpha")) is not None:
        settings["opt_kwargs"] = {"alpha": alpha}
    if settings["weight_decay"]:
        yield "optimizer.weight_decay: train.py leaves biases and normalization layers out of it"
    if recipe.batch_size:
        settings["batch_size"] = recipe.batch_size
        yield "batch_size: train.py leaves out the last images of an epoch that do not fill a batch"
    else:
        yield "batch_size: 0 (all images in one step): give --batch-size"


def _schedule(file: RecipeFile, recipe: Recipe, settings: Settings) -> Iterator[str]:
    """Translate the schedule, whose epochs come after those of the warm-up in both programs."""
    schedule, lr = recipe.schedule, recipe.optimizer.lr
    warmup = setting(recipe, "schedule.warmup_epochs") or 0
    epochs = max(1, file.training.epochs - warmup)
    settings |= {"sched_on_updates": True, "warmup_epochs": warmup, "warmup_prefix": True, "epochs": epochs}
    if warmup:
        settings["warmup_lr"] = 0.0
    final = (setting(recipe, "schedule.final") or 0.0) * lr
    if schedule.name == "step":
        settings |= {"sched": "step", "decay_epochs": schedule.every, "decay_rate": schedule.gamma}
    elif schedule.name == "exponential":
        settings |= {"sched": "step", "decay_epochs": 1, "decay_rate": schedule.gamma}
        yield "schedule: exponential: train.py lowers the rate once in an epoch, Meltpoint at each step"
    elif schedule.name == "linear":
        settings |= {"sched": "poly", "decay_rate": 1.0, "min_lr": final}
    elif schedule.name == "cosine":
        settings |= {"sched": "cosine", "min_lr": final}
    elif schedule.name == "cosine_restarts":
        settings |= {"sched": "cosine", "min_lr": final, "lr_cycle_limit": schedule.cycles, "lr_cycle_decay": 1.0}
        settings["epochs"] = max(1, epochs // schedule.cycles)
        if epochs % schedule.cycles:
            yield f"schedule: {epochs} epochs are not a multiple of {schedule.cycles} cycles: fewer epochs are trained"
    else:
        settings |= {"sched": "step", "decay_epochs": epochs + 1, "decay_rate": 1.0}
        if schedule.name != "constant":
            yield f"schedule: {schedule.name}: train.py has no such schedule; the rate stays constant here"


def _augmentation(_file: RecipeFile, recipe: Recipe, settings: Settings) -> Iterator[str]:
    policy = recipe.augment.policy
    if policy not in _CROPS:
        yield f"augment.policy: {policy}: your own code; images stay unchanged here"
    area = _CROPS.get(policy)
    if area is None:
        settings["no_aug"] = True
        return
    ratio = [1.0, 1.0] if area[0] == area[1] else [3 / 4, 4 / 3]
    settings |= {"scale": list(area), "ratio": ratio, "hflip": 0.0 if policy == "color" else 0.5}
    colored = policy in ("color", "lecture7")
    settings["color_jitter"] = 0.4 if colored else 0.0
    if colored:
        yield f"augment.policy: {policy}: train.py changes saturation as well as brightness and contrast"


def _regularization(_file: RecipeFile, recipe: Recipe, settings: Settings) -> Iterator[str]:
    mix = recipe.mix
    settings |= {"smoothing": mix.label_smoothing, "mixup": mix.mixup, "cutmix": mix.cutmix}
    if setting(recipe, "dropout.kind") == "dropout" and recipe.dropout.rate:
        settings["drop"] = recipe.dropout.rate
    if recipe.dropout.drop_path:
        settings["drop_path"] = recipe.dropout.drop_path
        yield "dropout.drop_path: train.py drops blocks of frozen stages too"
    if recipe.clip.norm:
        settings |= {"clip_grad": recipe.clip.norm, "clip_mode": "norm"}


def _averaging(_file: RecipeFile, recipe: Recipe, settings: Settings) -> Iterator[str]:
    if recipe.averaging.name == "polyak":
        settings |= {"model_ema": True, "model_ema_decay": recipe.averaging.decay, "model_ema_warmup": True}
        yield "averaging: polyak: train.py's average warms up by another formula"
    elif recipe.averaging.name != "none":
        yield f"averaging: {recipe.averaging.name}: train.py keeps no such ensemble"
