"""A recipe: every hyperparameter of one training, resolved and validated."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from search_spaces.backbones import BACKBONES, resolve_freeze_depth, unknown_backbone_rule
from search_spaces.documents import broken_rule
from search_spaces.errors import MISSING, Problem, SpecError, did_you_mean
from search_spaces.extensions import is_own
from search_spaces.recipes.combinations import TrainingContext, broken_rules
from search_spaces.records import (
    GROUPS,
    About,
    Adamw,
    Augment,
    Averaging,
    Balance,
    Clip,
    Constant,
    Dropout,
    Head,
    Lbfgs,
    Mix,
    NoAveraging,
    NoPenalty,
    OpenChoice,
    Optimizer,
    Penalty,
    Record,
    Schedule,
    UsedWith,
    is_used,
    record_name,
)

Scalar = bool | int | float | str | list[float]

FULL_BATCH_PART: Final = 256
"""The number of images whose gradients are computed together if a batch is all images."""

_LATER_GROUPS: Final = ("schedule", "penalty", "clip", "head", "averaging")
_LATER_NAMES: Final = (
    *("dropout.kind", "dropout.scaling", "dropout.drop_path"),
    *("augment.cutout", "mix.mixup", "mix.cutmix"),
)
"""Names that the first recipes did not have. A default here does not count for the identity, so that old ones stay."""

_DECAY: Final = "optimizer.weight_decay"
_WITHOUT_DECAY_AT_FIRST: Final = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
"""Optimizers whose first records had no weight decay, as if it was 0."""

_PTH_WITH_DIGEST: Final = re.compile(r".+\.pth#sha256=[0-9a-fA-F]{64}")


class Recipe(Record):
    """A point of a space: every hyperparameter of a training.

    Equal recipes have equal identities, however they were written.
    """

    model_config = ConfigDict(title="recipe")

    backbone: Annotated[
        str,
        Field(description="the pretrained feature extractor, or your own function"),
        About(description="pretrained feature extractor", paper="He 2016; Tan & Le 2019", prefix="moves the boundary"),
        OpenChoice(kind="backbone", known=tuple(BACKBONES)),
    ] = "timm/tf_efficientnet_lite0"
    weights: Annotated[
        str,
        Field(description="pretrained, random, a .safetensors file, or FILE.pth#sha256=DIGEST"),
        About(description="starting weights", paper="Yosinski et al. 2014", prefix="moves the boundary"),
    ] = "pretrained"
    freeze_depth: Annotated[
        int,
        Field(description="number of stages, counted from the image, that stay frozen; -1 is all but the last"),
        About(
            description="number of frozen stages",
            paper="Yosinski et al. 2014, https://arxiv.org/abs/1411.1792",
            prefix="moves the boundary",
        ),
    ] = Field(default="all", validate_default=True)
    optimizer: Optimizer = Adamw()
    schedule: Schedule = Constant()
    penalty: Penalty = NoPenalty()
    clip: Clip = Clip()
    dropout: Dropout = Dropout()
    head: Head = Head()
    augment: Augment = Augment()
    mix: Mix = Mix()
    averaging: Averaging = NoAveraging()
    balance: Balance = Balance()
    batch_size: Annotated[
        int,
        Field(ge=0, le=4096, description="number of images in a step; 0 is all images, one step in an epoch"),
        About(description="number of images in a step", paper="Goyal et al. 2017", prefix="invariant"),
    ] = 32
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"],
        Field(description="number format of the forward pass; fp16 needs a GPU, and bf16 is slow on many CPUs"),
        About(
            description="number format of the forward pass",
            paper="Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740",
            prefix="moves the boundary",
        ),
    ] = "fp32"

    @field_validator("backbone")
    @classmethod
    def _known_backbone(cls, name: str) -> str:
        if name not in BACKBONES and not is_own(name, "backbone"):
            raise ValueError(unknown_backbone_rule(name))
        return name

    @field_validator("weights")
    @classmethod
    def _weights_source(cls, source: str) -> str:
        return check_weights_source(source)

    @field_validator("freeze_depth", mode="before")
    @classmethod
    def _resolved_depth(cls, depth: Any, info: ValidationInfo) -> int:
        """Return the number of frozen stages.

        Accept a resolved depth of an own backbone unchecked, because its module may have been removed.
        """
        backbone = info.data.get("backbone")
        if backbone is None:
            return 0
        if backbone not in BACKBONES and type(depth) is int and depth >= 0:
            return depth
        return resolve_freeze_depth(depth, backbone=backbone)

    @model_validator(mode="after")
    def _possible_together(self) -> Self:
        values = self.flat()
        for rule, text in broken_rules(values, TrainingContext()):
            name = rule.names[0]
            raise PydanticCustomError("combination", "{text}", {"text": text, "name": name, "value": values.get(name)})
        return self

    @classmethod
    def from_flat(cls, values: Mapping[str, object]) -> Self:
        """Return the recipe with these dotted names (`optimizer.lr`), every other name at its default.

        Raises:
            SpecError: a name is unknown or unused, or a value is refused; the error has all these problems.
        """
        problems = list(_misnamed(values))
        wrong = {problem.path for problem in problems}
        nested: dict[str, Any] = {group: {"name": name} for group, name in _chosen_by_default().items()}
        for name, value in values.items():
            group, _, field = name.partition(".")
            if name in wrong:
                continue
            if field:
                nested.setdefault(group, {})[field] = value
            else:
                nested[name] = value
        try:
            recipe = cls(**nested)
        except ValidationError as error:
            problems += [_problem(detail) for detail in error.errors(include_url=False)]
        if problems:
            raise SpecError(problems)
        return recipe

    def flat(self) -> dict[str, Scalar]:
        """Return the active values by dotted name, ready for JSON, always in the same order."""
        flat: dict[str, Scalar] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Record):
                for field, inner in value:
                    if is_used(value, field):
                        flat[f"{name}.{field}"] = list(inner) if isinstance(inner, tuple) else inner
            else:
                flat[name] = value
        return flat

    def recorded(self) -> dict[str, Scalar]:
        """Return the active values as recipes were recorded before every optimizer had a weight decay.

        A decay of 0 is left out for optimizers that had none, so that digests over older records stay the same.
        """
        flat = self.flat()
        if self.optimizer.name in _WITHOUT_DECAY_AT_FIRST and not flat[_DECAY]:
            del flat[_DECAY]
        return flat

    def anchored(self, folder: Path) -> Self:
        """Return the same recipe, with a relative path of a weights file resolved against `folder`."""
        if self.weights in ("pretrained", "random"):
            return self
        return self.model_copy(update={"weights": str(folder / self.weights)})

    @property
    def shared_views(self) -> str | None:
        """The kind of views whose activations other trials may use too; None if batches are mixed first."""
        return None if self.mix.per_batch else self.augment.drawing

    @property
    def shared_activations(self) -> tuple[object, ...]:
        """The values that decide the activations at the freeze boundary, given the same views."""
        return self.backbone, self.weights, self.precision, self.freeze_depth, self.shared_views

    @property
    def images_at_once(self) -> int:
        """The number of images whose gradients are computed together: a batch, or a part of a full batch."""
        return self.batch_size or FULL_BATCH_PART

    @property
    def passes(self) -> int:
        """The most passes over the images in an epoch."""
        return self.optimizer.max_evals if isinstance(self.optimizer, Lbfgs) else 1

    @property
    def identity(self) -> str:
        """The first 16 hex digits of the SHA-256 over the active, resolved values."""
        default = _default_values()
        counted = {
            name: value for name, value in self.recorded().items() if not (_later(name) and value == default.get(name))
        }
        text = json.dumps(counted, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_weights_source(source: str) -> str:
    """Return `source` with a digest in lower case.

    Raises:
        ValueError: `source` does not name weights.
    """
    if source in ("pretrained", "random") or source.endswith(".safetensors"):
        return source
    if _PTH_WITH_DIGEST.fullmatch(source):
        path, _, digest = source.rpartition("=")
        return f"{path}={digest.lower()}"
    raise ValueError("must be pretrained, random, FILE.safetensors or FILE.pth#sha256= with 64 hex digits")


@cache
def recipe_names() -> Mapping[str, frozenset[str | None]]:
    """Return every dotted name of the vocabulary, with the records (by `name`) that use it."""
    names: dict[str, frozenset[str | None]] = {}
    for field in Recipe.model_fields:
        if field not in GROUPS:
            names[field] = frozenset({None})
            continue
        for record in GROUPS[field]:
            for inner in record.model_fields:
                name = f"{field}.{inner}"
                names[name] = names.get(name, frozenset()) | {record_name(record)}
    return names


def other_way(name: str, chosen: str) -> str:
    """Return what to give in the place of a name that a choice does not use; empty if there is no such name."""
    return "; give penalty: {name: l2} in its place" if (name, chosen) == (_DECAY, "lbfgs") else ""


@cache
def _default_values() -> Mapping[str, Scalar]:
    return Recipe().flat()


def _later(name: str) -> bool:
    return name in _LATER_NAMES or name.partition(".")[0] in _LATER_GROUPS


@cache
def _chosen_by_default() -> Mapping[str, str]:
    """Return the name of the default record of each group that has several records."""
    return {group: Recipe.model_fields[group].default.name for group, records in GROUPS.items() if len(records) > 1}


def _misnamed(values: Mapping[str, object]) -> Iterator[Problem]:
    known, defaults = recipe_names(), _chosen_by_default()
    for name in values:
        group, _, field = name.partition(".")
        if name in GROUPS:
            names = ", ".join(other for other in known if other.startswith(f"{name}."))
            yield Problem(path=name, rule=f"is a group; give its names: {names}")
        elif name not in known:
            yield Problem(path=name, rule=f"unknown name{did_you_mean(name, known)}")
        elif group in defaults:
            chosen = str(values.get(f"{group}.name", defaults[group]))
            if chosen in known[f"{group}.name"] - known[name]:
                users = ", ".join(sorted(str(user) for user in known[name]))
                yield Problem(path=name, rule=f"is not used by {chosen}, only by {users}{other_way(name, chosen)}")
        elif group in GROUPS:
            yield from _unused(name, GROUPS[group][0], field, values)


def _unused(name: str, record: type[Record], field: str, values: Mapping[str, object]) -> Iterator[Problem]:
    for constraint in record.model_fields[field].metadata:
        if isinstance(constraint, UsedWith):
            decider = f"{name.partition('.')[0]}.{constraint.field}"
            chosen = values.get(decider, record.model_fields[constraint.field].default)
            if chosen not in constraint.values:
                yield Problem(
                    path=name, rule=f"is used only with {decider} {', '.join(constraint.values)}, not {chosen}"
                )


def _problem(detail: ErrorDetails) -> Problem:
    if detail["type"] == "combination":
        context = detail["ctx"]
        return Problem(path=context["name"], rule=context["text"], value=context["value"])
    place = [part for part in detail["loc"] if isinstance(part, str)]
    if detail["type"] == "union_tag_invalid":
        choices = [str(record_name(record)) for record in GROUPS[place[0]]]
        tag = str(detail["ctx"]["tag"])
        return Problem(path=f"{place[0]}.name", rule=f"unknown {place[0]}{did_you_mean(tag, choices)}", value=tag)
    name = place[0] if len(place) == 1 else f"{place[0]}.{place[-1]}"
    value = MISSING if detail["type"] == "missing" else detail["input"]
    return Problem(path=name, rule=broken_rule(detail), value=value)
