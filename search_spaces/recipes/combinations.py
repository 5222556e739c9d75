"""Values that a recipe may not have together, or had better not, and the reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from search_spaces.backbones import BACKBONES, map_side

Values = Mapping[str, Any]
"""A recipe's values by dotted name; those that are not used may be left out."""


@dataclass(frozen=True, kw_only=True)
class TrainingContext:
    """Known facts about the training that a recipe is for; None for an unknown fact."""

    epochs: int | None = None
    image_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A combination of values that a recipe may not have.

    Attributes:
        names: the names involved; a message asks the user to change the first.
        statement: the rule in general, for the documentation.
        broken: return the message if the values break the rule, else None.
    """

    names: tuple[str, ...]
    statement: str
    broken: Callable[[Values, TrainingContext], str | None]


def _full_batch(values: Values, _context: TrainingContext) -> str | None:
    if values["optimizer.name"] != "lbfgs" or values["batch_size"] == 0:
        return None
    return "must be 0 (all images) if optimizer.name is lbfgs: its line search needs the same images at every step"


def _full_precision(values: Values, _context: TrainingContext) -> str | None:
    if values["optimizer.name"] != "lbfgs" or values["precision"] != "fp16":
        return None
    return "must be fp32 or bf16 if optimizer.name is lbfgs: fp16 scales the loss differently at every step"


def _pairs_to_norm(values: Values, _context: TrainingContext) -> str | None:
    if values["head.norm"] != "batch" or values["batch_size"] != 1:
        return None
    return "must not be 1 if head.norm is batch: a single image has no variance"


def _maps_to_pool(values: Values, context: TrainingContext) -> str | None:
    pool, backbone = values["head.pool"], values["backbone"]
    if pool == "backbone" or backbone not in BACKBONES:
        return None
    if BACKBONES[backbone].map_size == 0:
        return f"needs feature maps, but {backbone} gives a vector: use backbone"
    if pool != "fractional_max" or context.image_size is None:
        return None
    if map_side(backbone, context.image_size) >= 2:
        return None
    return f"needs feature maps of 2 x 2 or more, but {backbone} gives 1 x 1 from {context.image_size} px"


def _cycles_to_snapshot(values: Values, _context: TrainingContext) -> str | None:
    if values["averaging.name"] != "snapshot" or values["schedule.name"] == "cosine_restarts":
        return None
    return "needs schedule.name cosine_restarts: a snapshot is taken at the end of each cycle"


def _epochs_to_warm_up(values: Values, context: TrainingContext) -> str | None:
    if context.epochs is None or values["schedule.warmup_epochs"] < max(1, context.epochs):
        return None
    return f"must be < budget.epochs, which is {context.epochs}"


def _epochs_to_cycle(values: Values, context: TrainingContext) -> str | None:
    cycles, warm_up = values.get("schedule.cycles"), values["schedule.warmup_epochs"]
    if context.epochs is None or cycles is None or cycles <= max(1, context.epochs - warm_up):
        return None
    longest = f"budget.epochs - schedule.warmup_epochs, which is {context.epochs - warm_up}"
    return f"must be <= {longest}: a cycle takes at least an epoch"


RULES: Final = (
    Rule(
        names=("batch_size", "optimizer.name"),
        statement="optimizer lbfgs needs batch_size 0: all images in one step",
        broken=_full_batch,
    ),
    Rule(
        names=("precision", "optimizer.name"),
        statement="optimizer lbfgs works in fp32 and bf16, not in fp16",
        broken=_full_precision,
    ),
    Rule(
        names=("batch_size", "head.norm"),
        statement="head.norm batch needs a batch_size other than 1",
        broken=_pairs_to_norm,
    ),
    Rule(
        names=("head.pool", "backbone"),
        statement="head.pool avg and max need a backbone whose last stage gives maps; fractional_max needs maps of "
        "2 x 2 or more at data.image_size",
        broken=_maps_to_pool,
    ),
    Rule(
        names=("averaging.name", "schedule.name"),
        statement="averaging snapshot needs schedule cosine_restarts",
        broken=_cycles_to_snapshot,
    ),
    Rule(
        names=("schedule.warmup_epochs",),
        statement="schedule.warmup_epochs must be < budget.epochs",
        broken=_epochs_to_warm_up,
    ),
    Rule(
        names=("schedule.cycles", "schedule.name", "schedule.warmup_epochs"),
        statement="schedule.cycles must be <= budget.epochs - schedule.warmup_epochs",
        broken=_epochs_to_cycle,
    ),
)


def broken_rules(values: Values, context: TrainingContext) -> Iterator[tuple[Rule, str]]:
    """Yield each rule that a recipe's values break, with the message."""
    for rule in RULES:
        text = rule.broken(values, context)
        if text is not None:
            yield rule, text


@dataclass(frozen=True, kw_only=True)
class Caution:
    """An allowed combination of values that is known to do harm."""

    applies: Callable[[Values], bool]
    text: str
    paper: str


def _dropout_before_norm(values: Values) -> bool:
    dropped = values.get("dropout.rate", 0.0) > 0 and values["dropout.kind"] == "dropout"
    return bool(dropped and values["head.norm"] == "batch" and values["head.hidden"] > 0)


def cautions(values: Values) -> Iterator[Caution]:
    """Yield a caution for each combination of a recipe's values that is known to do harm."""
    return (caution for caution in CAUTIONS if caution.applies(values))


CAUTIONS: Final = (
    Caution(
        applies=_dropout_before_norm,
        text="dropout before BatchNorm (dropout.rate with head.hidden and head.norm batch): the variance differs "
        "between training and evaluation because of dropout, and BatchNorm keeps that of training",
        paper="Li et al. 2019, https://arxiv.org/abs/1801.05134",
    ),
)
