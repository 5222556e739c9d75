"""Typed parameter records: one frozen class per choice, each field with its range, default and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from search_spaces.errors import one_of
from search_spaces.own_code import ExtensionKind, is_own

Prefix = Literal["invariant", "per view", "per batch", "moves the boundary"]


@dataclass(frozen=True, kw_only=True)
class About:
    """Where a choice comes from, and how it meets the activations that trials share."""

    description: str
    paper: str
    prefix: Prefix


@dataclass(frozen=True, kw_only=True)
class OpenChoice:
    """Marks a field that takes one of `known`, or the name of the user's own function."""

    kind: ExtensionKind
    known: tuple[str, ...]


class Record(BaseModel):
    """Base of all records: immutable, no unknown names, no silent conversions, finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    about: ClassVar[About]


def _positive_zero(number: float) -> float:
    return number + 0.0


def _pair(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("must be a pair of numbers")
    return tuple(value)


# -0.0 and 0.0 are one value, so that they are one recipe.
Number = Annotated[float, AfterValidator(_positive_zero)]
Fraction = Annotated[Number, Field(ge=0, lt=1)]
LearningRate = Annotated[Number, Field(gt=0, le=100, description="learning rate, the step size")]
MomentumFactor = Annotated[Number, Field(gt=0, lt=1, description="share of the last step that is kept")]
Eps = Annotated[Number, Field(gt=0, le=1, description="added to the denominator against division by zero")]
Betas = Annotated[
    tuple[Fraction, Fraction],
    BeforeValidator(_pair),
    Field(description="decay rates of the averages of the gradient and of its square"),
]


class Sgd(Record):
    """Plain stochastic gradient descent."""

    about = About(
        description="stochastic gradient descent",
        paper="Robbins & Monro 1951, https://doi.org/10.1214/aoms/1177729586",
        prefix="invariant",
    )
    name: Literal["sgd"] = "sgd"
    lr: LearningRate = 0.01


class Momentum(Record):
    """Gradient descent with the heavy-ball momentum."""

    about = About(
        description="gradient descent with heavy-ball momentum",
        paper="Polyak 1964, https://doi.org/10.1016/0041-5553(64)90137-5",
        prefix="invariant",
    )
    name: Literal["momentum"] = "momentum"
    lr: LearningRate = 0.01
    momentum: MomentumFactor = 0.9


class Nesterov(Record):
    """Momentum whose gradient is taken after the step that momentum is about to make."""

    about = About(
        description="gradient descent with Nesterov's look-ahead momentum",
        paper="Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html",
        prefix="invariant",
    )
    name: Literal["nesterov"] = "nesterov"
    lr: LearningRate = 0.01
    momentum: MomentumFactor = 0.9


class Adagrad(Record):
    """Steps divided by the root of the sum of all squared gradients so far."""

    about = About(
        description="a step size for each weight that only shrinks",
        paper="Duchi et al. 2011, https://jmlr.org/papers/v12/duchi11a.html",
        prefix="invariant",
    )
    name: Literal["adagrad"] = "adagrad"
    lr: LearningRate = 0.01
    eps: Eps = 1e-10


class Rmsprop(Record):
    """Steps divided by the root of a moving average of squared gradients."""

    about = About(
        description="a step size for each weight from a moving average of squared gradients",
        paper="Tieleman & Hinton 2012, Coursera: Neural Networks for Machine Learning, lecture 6.5",
        prefix="invariant",
    )
    name: Literal["rmsprop"] = "rmsprop"
    lr: LearningRate = 1e-3
    alpha: Annotated[Fraction, Field(description="decay rate of the average of squared gradients")] = 0.99
    eps: Eps = 1e-8


class Adam(Record):
    """Moving averages of the gradient and of its square, both corrected for their start at zero."""

    about = About(
        description="momentum and a step size for each weight",
        paper="Kingma & Ba 2015, https://arxiv.org/abs/1412.6980",
        prefix="invariant",
    )
    name: Literal["adam"] = "adam"
    lr: LearningRate = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Eps = 1e-8


class Adamw(Record):
    """Adam with the weight decay taken out of the gradient."""

    about = About(
        description="Adam with decoupled weight decay",
        paper="Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101",
        prefix="invariant",
    )
    name: Literal["adamw"] = "adamw"
    lr: LearningRate = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Eps = 1e-8
    weight_decay: Annotated[Number, Field(ge=0, le=1, description="share of a weight taken off, times lr")] = 1e-2


class Dropout(Record):
    """Dropout on the features, before the classifying layer."""

    about = About(
        description="features set to zero at random in training",
        paper="Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html",
        prefix="invariant",
    )
    rate: Annotated[Fraction, Field(description="probability that a feature is dropped")] = 0.0


AUGMENT_POLICIES: Final[Mapping[str, About]] = MappingProxyType(
    {
        "none": About(description="images as they are", paper="", prefix="invariant"),
        "flip": About(
            description="mirrored left to right, every second image",
            paper="Krizhevsky, Sutskever & Hinton 2012, ImageNet Classification with Deep CNNs",
            prefix="per view",
        ),
        "flip_crop": About(
            description="flip, then a crop of 50 to 100 % of the area, resized back",
            paper="Szegedy et al. 2015, Going Deeper with Convolutions (section 6)",
            prefix="per view",
        ),
        "color": About(
            description="brightness and contrast, each by up to 40 %, in a drawn order",
            paper="Howard 2013, Some Improvements on Deep CNN Based Image Classification",
            prefix="per view",
        ),
        "lecture7": About(
            description="flip_crop, then color",
            paper="CS231n, lecture 7: Training Neural Networks, part 2",
            prefix="per view",
        ),
    }
)
"""Every augmentation that comes with the package; how each is made is in trainables.views."""


def _known_policy(name: str) -> str:
    if name not in AUGMENT_POLICIES and not is_own(name, "augmentation"):
        raise ValueError(one_of(name, AUGMENT_POLICIES))
    return name


AugmentPolicy = Annotated[
    str, AfterValidator(_known_policy), OpenChoice(kind="augmentation", known=tuple(AUGMENT_POLICIES))
]


class Augment(Record):
    """How training images are varied."""

    about = About(
        description="random variations of the training images",
        paper="Shorten & Khoshgoftaar 2019, https://doi.org/10.1186/s40537-019-0197-0",
        prefix="per view",
    )
    policy: Annotated[
        AugmentPolicy,
        Field(description="which variations; lecture7 is flip, crop and colour jitter; or your own function"),
    ] = "none"
    views: Annotated[
        int,
        Field(ge=0, le=100_000, description="different views of an image, used by turns; 0 is a new one each epoch"),
    ] = 0


class Mix(Record):
    """How labels are softened."""

    about = About(
        description="softened labels",
        paper="Szegedy et al. 2016, https://arxiv.org/abs/1512.00567",
        prefix="invariant",
    )
    label_smoothing: Annotated[
        Fraction, Field(description="share of each label that is spread evenly over all classes")
    ] = 0.0


class Balance(Record):
    """What is done where some classes have many more images than others."""

    about = About(
        description="what is done where classes differ in size",
        paper="Cui et al. 2019, https://arxiv.org/abs/1901.05555",
        prefix="invariant",
    )
    class_weights: Annotated[
        Literal["none", "inverse", "effective"],
        Field(description="an image's share in the loss: alike, or by its class's (effective) number of images"),
    ] = "none"
    sampling: Annotated[
        Literal["none", "balanced"],
        Field(description="each image once an epoch, or each class equally often"),
    ] = "none"


_OPTIMIZERS: Final[tuple[type[Record], ...]] = (Sgd, Momentum, Nesterov, Adagrad, Rmsprop, Adam, Adamw)
Optimizer = Annotated[Sgd | Momentum | Nesterov | Adagrad | Rmsprop | Adam | Adamw, Field(discriminator="name")]

GROUPS: Final[Mapping[str, tuple[type[Record], ...]]] = MappingProxyType(
    {"optimizer": _OPTIMIZERS, "dropout": (Dropout,), "augment": (Augment,), "mix": (Mix,), "balance": (Balance,)}
)
"""The recipe's groups of names; a group of several records is a choice between them by `name`."""


def record_name(record: type[Record]) -> str | None:
    """The `name` that chooses this record within its group; None where a group has only one record."""
    field = record.model_fields.get("name")
    return None if field is None else str(field.default)
