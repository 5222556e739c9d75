"""Combinations of values that a recipe may not have, and combinations that are known to harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from search_spaces.backbones import BACKBONES, map_side

Values = Mapping[str, Any]
"""A recipe's values by dotted name; those that are not used may be left out."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Facts about the training that a recipe is for; None if unknown."""

    epochs: int | None = None
    image_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Something that a recipe may not be.

    names: what it is about; the first is the one to be changed.
    said: the rule, in general. broken: what to say where the values break it, else None.
    """

    names: tuple[str, ...]
    said: str
    broken: Callable[[Values, Setting], str | None]


def _full_batch(values: Values, _setting: Setting) -> str | None:
    if values["optimizer.name"] != "lbfgs" or values["batch_size"] == 0:
        return None
    return "must be 0, all images, where optimizer.name is lbfgs: its line search needs one function"


def _full_precision(values: Values, _setting: Setting) -> str | None:
    if values["optimizer.name"] != "lbfgs" or values["precision"] != "fp16":
        return None
    return "must be fp32 or bf16 where optimizer.name is lbfgs: the loss of fp16 is scaled anew at every step"


def _pairs_to_norm(values: Values, _setting: Setting) -> str | None:
    if values["head.norm"] != "batch" or values["batch_size"] != 1:
        return None
    return "must not be 1 where head.norm is batch: one image has no spread"


def _maps_to_pool(values: Values, setting: Setting) -> str | None:
    pool, backbone = values["head.pool"], values["backbone"]
    if pool == "backbone" or backbone not in BACKBONES:
        return None
    if BACKBONES[backbone].map_size == 0:
        return f"needs feature maps, and {backbone} gives a vector: use backbone"
    if pool != "fractional_max" or setting.image_size is None:
        return None
    if map_side(backbone, setting.image_size) >= 2:
        return None
    return f"needs feature maps of 2 x 2 or more, and {backbone} makes 1 x 1 of {setting.image_size} px"


def _cycles_to_snapshot(values: Values, _setting: Setting) -> str | None:
    if values["averaging.name"] != "snapshot" or values["schedule.name"] == "cosine_restarts":
        return None
    return "needs schedule.name cosine_restarts: a snapshot is taken at the end of each cycle"


def _epochs_to_warm_up(values: Values, setting: Setting) -> str | None:
    if setting.epochs is None or values["schedule.warmup_epochs"] < max(1, setting.epochs):
        return None
    return f"must be < budget.epochs, which is {setting.epochs}"


def _epochs_to_cycle(values: Values, setting: Setting) -> str | None:
    cycles, warm_up = values.get("schedule.cycles"), values["schedule.warmup_epochs"]
    if setting.epochs is None or cycles is None or cycles <= max(1, setting.epochs - warm_up):
        return None
    left = f"budget.epochs less schedule.warmup_epochs, {setting.epochs - warm_up}"
    return f"must be <= {left}: a cycle takes an epoch or more"


RULES: Final = (
    Rule(
        names=("batch_size", "optimizer.name"),
        said="optimizer lbfgs needs batch_size 0: all images in one step",
        broken=_full_batch,
    ),
    Rule(
        names=("precision", "optimizer.name"),
        said="optimizer lbfgs works in fp32 and bf16, not in fp16",
        broken=_full_precision,
    ),
    Rule(
        names=("batch_size", "head.norm"),
        said="head.norm batch needs a batch_size other than 1",
        broken=_pairs_to_norm,
    ),
    Rule(
        names=("head.pool", "backbone"),
        said="head.pool avg and max need a backbone whose last stage gives feature maps; fractional_max needs maps of "
        "2 x 2 or more at data.image_size",
        broken=_maps_to_pool,
    ),
    Rule(
        names=("averaging.name", "schedule.name"),
        said="averaging snapshot needs schedule cosine_restarts",
        broken=_cycles_to_snapshot,
    ),
    Rule(
        names=("schedule.warmup_epochs",),
        said="schedule.warmup_epochs is less than budget.epochs",
        broken=_epochs_to_warm_up,
    ),
    Rule(
        names=("schedule.cycles", "schedule.name", "schedule.warmup_epochs"),
        said="schedule.cycles is at most budget.epochs less schedule.warmup_epochs",
        broken=_epochs_to_cycle,
    ),
)


def broken_rules(values: Values, setting: Setting) -> Iterator[tuple[Rule, str]]:
    """The rules that a recipe's values break, with what to say."""
    for rule in RULES:
        text = rule.broken(values, setting)
        if text is not None:
            yield rule, text


@dataclass(frozen=True, kw_only=True)
class Caution:
    """A combination of values that is allowed, and known to harm."""

    holds: Callable[[Values], bool]
    text: str
    paper: str


def _dropout_before_norm(values: Values) -> bool:
    dropped = values.get("dropout.rate", 0.0) > 0 and values["dropout.kind"] == "dropout"
    return bool(dropped and values["head.norm"] == "batch" and values["head.hidden"] > 0)


def cautions(values: Values) -> Iterator[Caution]:
    """Return the cautions that apply to a recipe's values."""
    return (caution for caution in CAUTIONS if caution.holds(values))


CAUTIONS: Final = (
    Caution(
        holds=_dropout_before_norm,
        text="dropout before BatchNorm (dropout.rate with head.hidden and head.norm batch): dropout changes the "
        "variance between training and evaluation, and BatchNorm keeps that of training",
        paper="Li et al. 2019, https://arxiv.org/abs/1801.05134",
    ),
)
