"""Optimizers: plain, with momentum, with a step size for each weight, and with curvature."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from search_spaces.records.base import About, Fraction, Number, Origin, Record


def _pair(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("must be a pair of numbers")
    return tuple(value)


LearningRate = Annotated[Number, Field(gt=0, le=100, description="learning rate, the step size")]
MomentumFactor = Annotated[Number, Field(gt=0, lt=1, description="share of the last step that is kept")]
Eps = Annotated[Number, Field(gt=0, le=1, description="added to the denominator against division by zero")]
Betas = Annotated[
    tuple[Fraction, Fraction],
    BeforeValidator(_pair),
    Field(description="decay rates of the averages of the gradient and of its square"),
]
WeightDecay = Annotated[
    Number,
    Field(
        ge=0,
        le=1,
        description="factor of every trained weight that is added to its gradient; adamw and lion subtract it, times "
        "lr, from the weight instead",
    ),
    Origin(
        paper="Krogh & Hertz 1991, https://papers.nips.cc/paper/563; "
        "Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101",
        prefix="invariant",
    ),
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
    weight_decay: WeightDecay = 0.0


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
    weight_decay: WeightDecay = 0.0


class Nesterov(Record):
    """Momentum whose gradient is computed at the point to which the momentum leads."""

    about = About(
        description="gradient descent with Nesterov's look-ahead momentum",
        paper="Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html",
        prefix="invariant",
    )
    name: Literal["nesterov"] = "nesterov"
    lr: LearningRate = 0.01
    momentum: MomentumFactor = 0.9
    weight_decay: WeightDecay = 0.0


class Adagrad(Record):
    """Divide steps by the square root of the sum of all squared gradients so far."""

    about = About(
        description="a step size for each weight that only shrinks",
        paper="Duchi et al. 2011, https://jmlr.org/papers/v12/duchi11a.html",
        prefix="invariant",
    )
    name: Literal["adagrad"] = "adagrad"
    lr: LearningRate = 0.01
    eps: Eps = 1e-10
    weight_decay: WeightDecay = 0.0


class Rmsprop(Record):
    """Divide steps by the square root of a moving average of squared gradients."""

    about = About(
        description="a step size for each weight from a moving average of squared gradients",
        paper="Tieleman & Hinton 2012, Coursera: Neural Networks for Machine Learning, lecture 6.5",
        prefix="invariant",
    )
    name: Literal["rmsprop"] = "rmsprop"
    lr: LearningRate = 1e-3
    alpha: Annotated[Fraction, Field(description="decay rate of the average of squared gradients")] = 0.99
    eps: Eps = 1e-8
    weight_decay: WeightDecay = 0.0


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
    weight_decay: WeightDecay = 0.0


class Adamw(Record):
    """Adam with a weight decay that does not go through the gradient."""

    about = About(
        description="Adam with decoupled weight decay",
        paper="Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101",
        prefix="invariant",
    )
    name: Literal["adamw"] = "adamw"
    lr: LearningRate = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Eps = 1e-8
    weight_decay: WeightDecay = 1e-2


class Lion(Record):
    """Move each weight by lr in the direction of the sign of an averaged gradient, with decoupled weight decay."""

    about = About(
        description="steps of one size, by the sign of an averaged gradient",
        paper="Chen et al. 2023, https://arxiv.org/abs/2302.06675",
        prefix="invariant",
    )
    name: Literal["lion"] = "lion"
    lr: LearningRate = 1e-4
    betas: Betas = (0.9, 0.99)
    weight_decay: WeightDecay = 1e-2


class Lbfgs(Record):
    """Newton's method with the curvature of the last steps, on all images at once; an epoch is one call.

    Each pass over the images sees the same views and the same dropout masks, so that the line search sees the same
    function. Strong Wolfe line search (Nocedal & Wright 2006, algorithm 3.5).
    """

    about = About(
        description="limited-memory BFGS, on all images at once (batch_size 0)",
        paper="Liu & Nocedal 1989, https://doi.org/10.1007/BF01589116",
        prefix="invariant",
    )
    name: Literal["lbfgs"] = "lbfgs"
    lr: LearningRate = 1.0
    history: Annotated[int, Field(ge=1, le=100, description="number of steps whose curvature is remembered")] = 10
    max_evals: Annotated[
        int, Field(ge=2, le=1000, description="passes over all images in an epoch, after which no iteration begins")
    ] = 20
