"""The head, which is trained on the features, and dropout in it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from search_spaces.records.base import About, Fraction, Number, Origin, Record, UsedWith


class Dropout(Record):
    """Random omission in training: of inputs or weights of the head's layers, or of blocks of the backbone."""

    about = About(
        description="what is left out at random in training",
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
        Field(description="what is dropped: inputs of the head's layers, or their weights, others for each example"),
        Origin(paper="Wan et al. 2013, https://proceedings.mlr.press/v28/wan13.html", prefix="invariant"),
    ] = "dropout"
    scaling: Annotated[
        Literal["inverted", "vanilla"],
        Field(description="what makes up for what is dropped: a division in training, or a product in evaluation"),
        UsedWith(field="kind", values=("dropout", "dropconnect")),
    ] = "inverted"
    drop_path: Annotated[
        Fraction,
        Field(
            description="stochastic depth: probability that the last residual block is skipped, growing in a straight "
            "line from the first; acts on thawed stages"
        ),
        Origin(paper="Huang et al. 2016, https://arxiv.org/abs/1603.09382", prefix="invariant"),
    ] = 0.0


class Head(Record):
    """The layers that are trained on the features."""

    about = About(
        description="the layers that are trained anew",
        paper="CS231n, lecture 7: Training Neural Networks, part 2",
        prefix="invariant",
    )
    hidden: Annotated[
        int, Field(ge=0, le=65_536, description="width of a layer with ReLU before the classifying one; 0 is none")
    ] = 0
    norm: Annotated[
        Literal["none", "batch"],
        Field(description="BatchNorm on the hidden layer, or on the features where there is none"),
        Origin(paper="Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167", prefix="invariant"),
    ] = "none"
    pool: Annotated[
        Literal["backbone", "avg", "max", "fractional_max"],
        Field(
            description="what makes a vector of the last feature maps: the backbone's own way, their mean, their "
            "maximum, or fractional max-pooling and then the mean"
        ),
        Origin(paper="Graham 2014, https://arxiv.org/abs/1412.6071", prefix="moves the boundary"),
    ] = "backbone"
    pool_ratio: Annotated[
        Number,
        Field(gt=1, lt=2, description="how many times smaller fractional max-pooling makes the maps"),
        UsedWith(field="pool", values=("fractional_max",)),
        Origin(paper="Graham 2014, https://arxiv.org/abs/1412.6071", prefix="invariant"),
    ] = 1.5
