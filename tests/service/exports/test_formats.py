"""Recipes for other programs: the names are those of the programs, and optimizers and schedules do the same there."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm.data
import timm.optim
import timm.scheduler
import torch
import torchvision
import yaml  # type: ignore[import-untyped]  # its stubs are no dependency
from PIL import Image
from timm.scheduler.scheduler_factory import scheduler_kwargs

from search_spaces import Recipe
from service.exports import format_recipe
from service.formats import RecipeFormat
from tests.service.exports.files import recipe_file
from trainables.training.optimizers import build_optimizer
from trainables.training.schedules import SchedulePosition, learning_rate_factor

STEPS = 5

GOLDEN = Path(__file__).parents[2] / "golden"

OPTIMIZERS: list[dict[str, Any]] = [
    {"optimizer.name": "sgd", "optimizer.lr": 0.1},
    {"optimizer.name": "momentum", "optimizer.lr": 0.1, "optimizer.momentum": 0.8},
    {"optimizer.name": "nesterov", "optimizer.lr": 0.1, "optimizer.momentum": 0.8},
    {"optimizer.name": "adagrad", "optimizer.lr": 0.1},
    {"optimizer.name": "rmsprop", "optimizer.lr": 1e-3, "optimizer.alpha": 0.95},
    {"optimizer.name": "adam", "optimizer.lr": 1e-5, "optimizer.betas": [0.8, 0.99]},
    {"optimizer.name": "adamw", "optimizer.lr": 3e-5, "optimizer.weight_decay": 0.05},
    {"optimizer.name": "lion", "optimizer.lr": 1e-4},
]
SCHEDULES: list[dict[str, Any]] = [
    {"schedule.name": "constant"},
    {"schedule.name": "constant", "schedule.warmup_epochs": 2},
    {"schedule.name": "step", "schedule.every": 2, "schedule.gamma": 0.3},
    {"schedule.name": "step", "schedule.every": 2, "schedule.gamma": 0.3, "schedule.warmup_epochs": 1},
    {"schedule.name": "linear", "schedule.final": 0.1},
    {"schedule.name": "cosine"},
    {"schedule.name": "cosine", "schedule.final": 0.2, "schedule.warmup_epochs": 2},
    {"schedule.name": "cosine_restarts", "schedule.cycles": 3},
]
RECIPES: list[dict[str, Any]] = [
    {},
    {"backbone": "torchvision/resnet18", "freeze_depth": -1, "augment.policy": "flip_crop", "batch_size": 0},
    {"augment.policy": "lecture7", "mix.mixup": 0.2, "mix.label_smoothing": 0.1, "dropout.rate": 0.3},
    {"augment.policy": "flip", "head.hidden": 64, "penalty.name": "l1", "averaging.name": "polyak"},
    {"optimizer.name": "lbfgs", "schedule.name": "1/t", "clip.norm": 1.0, "precision": "bf16", "batch_size": 0},
    {"schedule.name": "exponential", "augment.cutout": 0.3, "balance.sampling": "balanced", "precision": "fp16"},
    {"backbone": "torchvision/resnet18", "head.pool": "max", "dropout.drop_path": 0.1, "weights": "w.safetensors"},
    *OPTIMIZERS,
    *SCHEDULES,
]


def known(program: str) -> set[str]:
    """Return the names of the arguments of a program's train.py."""
    lines = (GOLDEN / f"{program}-train-arguments.txt").read_text().splitlines()
    return {line for line in lines if not line.startswith("#")}


def names(values: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items()) or "default"


def timm_settings(values: dict[str, Any], *, epochs: int = 6) -> dict[str, Any]:
    """Return the settings as train.py of timm reads them."""
    loaded: dict[str, Any] = yaml.safe_load(format_recipe(recipe_file(values, epochs=epochs), RecipeFormat.TIMM))
    return loaded


def torchvision_arguments(text: str) -> dict[str, str | None]:
    """Return the arguments as argparse of torchvision's script sees them."""
    parser = argparse.ArgumentParser()
    for name in known("torchvision"):
        parser.add_argument(f"--{name}", action="store_true" if name in ("amp", "model-ema", "ra-sampler") else "store")
    words = [word for line in text.splitlines() if not line.startswith("#") for word in line.split()]
    return {name: value for name, value in vars(parser.parse_args(words)).items() if value}


@pytest.mark.parametrize("values", RECIPES, ids=names)
def test_only_arguments_of_the_program_are_used(values: dict[str, Any]) -> None:
    file = recipe_file(values)
    assert {name.replace("_", "-") for name in timm_settings(values)} <= known("timm")
    arguments = torchvision_arguments(format_recipe(file, RecipeFormat.TORCHVISION))
    assert arguments["epochs"] == "6"
    config = yaml.safe_load(format_recipe(file, RecipeFormat.LIGHTNING))
    assert set(config) <= {"seed_everything", "trainer", "optimizer", "lr_scheduler"}


@pytest.mark.parametrize("values", OPTIMIZERS, ids=names)
def test_timm_builds_an_optimizer_that_steps_alike(values: dict[str, Any]) -> None:
    settings = timm_settings(values)
    arguments = argparse.Namespace(**{"opt_eps": None, "opt_betas": None, "momentum": 0.9} | settings)
    ours, theirs = (torch.nn.Linear(4, 3, bias=False) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    optimizers = (
        build_optimizer(Recipe.from_flat(values).optimizer, ours.parameters()),
        timm.optim.create_optimizer_v2(
            theirs, **timm.optim.optimizer_kwargs(arguments), **settings.get("opt_kwargs", {})
        ),
    )
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        inputs = torch.randn(8, 4, generator=generator)
        for model, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            model(inputs).square().mean().backward()
            optimizer.step()
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-7)


@pytest.mark.parametrize("values", SCHEDULES, ids=names)
def test_timm_builds_a_schedule_with_the_same_rates(values: dict[str, Any]) -> None:
    epochs, lr = 8 if "schedule.cycles" not in values else 6, 0.5
    values = values | {"optimizer.name": "sgd", "optimizer.lr": lr}
    arguments = argparse.Namespace(**timm_settings(values, epochs=epochs))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler, trained = timm.scheduler.create_scheduler_v2(
        optimizer, **scheduler_kwargs(arguments), updates_per_epoch=STEPS
    )
    assert trained == epochs
    record = Recipe.from_flat(values).schedule
    warmup = values.get("schedule.warmup_epochs", 0) * STEPS
    for step in range(epochs * STEPS):
        scheduler.step_update(step)
        position = SchedulePosition(step=step, steps_per_epoch=STEPS, epochs=epochs)
        expected = learning_rate_factor(record, position) * lr
        # In the warm-up timm's rate is a step behind: it begins at 0.
        tolerance = lr / warmup + 1e-9 if step < warmup else 1e-9
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, abs=tolerance), step


@pytest.mark.parametrize(
    ("policy", "changes"),
    [("none", set()), ("flip", {"mirrored"}), ("flip_crop", {"cropped"}), ("color", {"cropped"})],
)
def test_timm_changes_square_images_as_the_policy_does(policy: str, changes: set[str]) -> None:
    """Count a change of colours as `cropped` too: both give other pixels than the image and its mirror."""
    settings = timm_settings({"augment.policy": policy})
    names_there = {"no_aug", "scale", "ratio", "hflip", "color_jitter"}
    options = {name: value for name, value in settings.items() if name in names_there}
    transform = timm.data.create_transform(
        tuple(settings["input_size"]),
        is_training=True,
        interpolation=settings["train_interpolation"],
        normalize=False,
        **options,
    )
    size = settings["input_size"][1]
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    seen = set()
    for _ in range(30):
        view = np.asarray(transform(Image.fromarray(pixels))).transpose(1, 2, 0)
        kinds = {"plain": pixels, "mirrored": pixels[:, ::-1]}
        seen |= {name for name, image in kinds.items() if np.array_equal(view, image)} or {"cropped"}
    assert changes <= seen
    assert seen <= {"plain", "mirrored", *changes}
    assert policy != "none" or seen == {"plain"}


@pytest.mark.parametrize("values", [*OPTIMIZERS, *SCHEDULES], ids=names)
def test_classes_of_the_lightning_configuration_take_their_arguments(values: dict[str, Any]) -> None:
    config = yaml.safe_load(format_recipe(recipe_file(values), RecipeFormat.LIGHTNING))
    model = torch.nn.Linear(2, 2)
    built: list[Any] = [list(model.parameters())]
    for key in ("optimizer", "lr_scheduler"):
        if key in config:
            module, _, name = config[key]["class_path"].rpartition(".")
            built.append(getattr(importlib.import_module(module), name)(built[-1], **config[key]["init_args"]))
    callback = config["trainer"]["callbacks"][0]["init_args"]
    assert callback == {"monitor": "val/accuracy", "mode": "max", "save_top_k": 1}


def test_left_out_parts_are_listed_in_the_file() -> None:
    file = recipe_file(
        {
            "backbone": "timm/tf_efficientnet_lite0",
            "freeze_depth": -1,
            "head.hidden": 64,
            "penalty.name": "elastic",
            "balance.class_weights": "inverse",
            "augment.cutout": 0.25,
            "optimizer.name": "lbfgs",
            "batch_size": 0,
        }
    )
    for form in (RecipeFormat.TIMM, RecipeFormat.TORCHVISION, RecipeFormat.LIGHTNING):
        text = format_recipe(file, form)
        comments = "\n".join(line for line in text.splitlines() if line.startswith("#"))
        assert "UNCONFIRMED" in comments
        for name in ("freeze_depth: -1 (8 of 9", "head.hidden: 64", "penalty.name: elastic", "augment.cutout: 0.25"):
            assert f"- {name}" in comments, (form, name)
        assert "balance.class_weights: inverse" in comments
        assert "optimizer: lbfgs" in comments


def test_torchvisions_script_cannot_start_from_weights_for_other_classes() -> None:
    """Show why the export leaves out --weights: the script passes it on with the number of classes."""
    with pytest.raises(ValueError, match="num_classes"):
        torchvision.models.get_model("resnet18", weights="IMAGENET1K_V1", num_classes=10)
    assert "weights" not in torchvision_arguments(
        format_recipe(recipe_file({"backbone": "torchvision/resnet18"}), RecipeFormat.TORCHVISION)
    )
