"""Penalties on large weights, added to the loss, and gradient clipping."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from search_spaces.records.base import About, Number, Record

_ELASTIC: Final = "Zou & Hastie 2005, https://doi.org/10.1111/j.1467-9868.2005.00503.x"

L1Strength = Annotated[Number, Field(gt=0, le=1000, description="factor of the sum of absolute weights in the loss")]
L2Strength = Annotated[Number, Field(gt=0, le=1000, description="factor of the sum of squared weights in the loss")]


class NoPenalty(Record):
    """Add nothing to the loss."""

    about = About(description="no penalty on weights", paper=_ELASTIC, prefix="invariant")
    name: Literal["none"] = "none"


class L1(Record):
    """Add l1 sum |w| to the loss: small weights become zero."""

    about = About(
        description="a penalty on absolute weights, which makes many of them zero",
        paper="Tibshirani 1996, https://doi.org/10.1111/j.2517-6161.1996.tb02080.x",
        prefix="invariant",
    )
    name: Literal["l1"] = "l1"
    l1: L1Strength = 1e-4


class L2(Record):
    """Add l2 sum w^2 to the loss; unlike adamw's weight decay, this goes through the optimizer's averages."""

    about = About(
        description="a penalty on squared weights, which makes them small",
        paper="Hoerl & Kennard 1970, https://doi.org/10.1080/00401706.1970.10488634; CS231n, lecture 7",
        prefix="invariant",
    )
    name: Literal["l2"] = "l2"
    l2: L2Strength = 1e-4


class Elastic(Record):
    """Add l1 sum |w| + l2 sum w^2 to the loss."""

    about = About(description="both penalties: the elastic net", paper=_ELASTIC, prefix="invariant")
    name: Literal["elastic"] = "elastic"
    l1: L1Strength = 1e-4
    l2: L2Strength = 1e-4


class Clip(Record):
    """Scale a gradient down if its norm is too large."""

    about = About(
        description="largest norm of the gradient",
        paper="Pascanu, Mikolov & Bengio 2013, https://proceedings.mlr.press/v28/pascanu13.html (section 3.2)",
        prefix="invariant",
    )
    norm: Annotated[
        Number,
        Field(
            ge=0,
            le=1e6,
            description="a larger norm of the gradient of all trained weights is scaled to this; 0 is no limit",
        ),
    ] = 0.0
