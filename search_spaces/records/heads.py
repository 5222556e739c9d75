"""The head: the new layers on top of the features, and their dropout."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from search_spaces.records.base import About, Fraction, Number, Origin, Record, UsedWith


class Dropout(Record):
    """Drop inputs of the head's layers, their weights, or blocks of the backbone at random in training."""

    about = About(
        description="parts of the network that are dropped at random in training",
        paper="Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html",
        prefix="invariant",
    )
    rate: Annotated[
        Fraction,
        Field(description="probability that an input of a head's layer (or a weight of it) is dropped"),
        UsedWith(field="kind", values=("dropout", "dropconnect")),
    ] = 0.0
    kind: Annotated[
        Literal["none", "dropout", "dropconnect"],
        Field(description="what is dropped, different for each image: inputs of layers, or their weights"),
        Origin(paper="Wan et al. 2013, https://proceedings.mlr.press/v28/wan13.html", prefix="invariant"),
    ] = "dropout"
    scaling: Annotated[
        Literal["inverted", "vanilla"],
        Field(description="what keeps the scale: inverted divides in training, vanilla multiplies in evaluation"),
        UsedWith(field="kind", values=("dropout", "dropconnect")),
    ] = "inverted"
    drop_path: Annotated[
        Fraction,
        Field(
            description="stochastic depth: probability of skipping the last residual block; it grows linearly from "
            "the first block, and acts on thawed stages only"
        ),
        Origin(paper="Huang et al. 2016, https://arxiv.org/abs/1603.09382", prefix="invariant"),
    ] = 0.0


class Head(Record):
    """The layers on top of the features, trained from random weights."""

    about = About(
        description="the new layers on top of the features",
        paper="CS231n, lecture 7: Training Neural Networks, part 2",
        prefix="invariant",
    )
    hidden: Annotated[
        int,
        Field(
            ge=0, le=65_536, description="width of a hidden layer with ReLU before the classifier; 0 is no hidden layer"
        ),
    ] = 0
    norm: Annotated[
        Literal["none", "batch"],
        Field(description="BatchNorm on the hidden layer, or on the features if there is no hidden layer"),
        Origin(paper="Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167", prefix="invariant"),
    ] = "none"
    pool: Annotated[
        Literal["backbone", "avg", "max", "fractional_max"],
        Field(
            description="how the last feature maps become a vector: the backbone's own way, the mean, the "
            "maximum, or fractional max-pooling followed by the mean"
        ),
        Origin(paper="Graham 2014, https://arxiv.org/abs/1412.6071", prefix="moves the boundary"),
    ] = "backbone"
    pool_ratio: Annotated[
        Number,
        Field(gt=1, lt=2, description="factor by which fractional max-pooling shrinks the maps"),
        UsedWith(field="pool", values=("fractional_max",)),
        Origin(paper="Graham 2014, https://arxiv.org/abs/1412.6071", prefix="invariant"),
    ] = 1.5
