"""Schedules of the learning rate over the steps of a training; each may begin with a linear warm-up."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from search_spaces.records.base import About, Number, Record

_DECAY: Final = "Bottou, Curtis & Nocedal 2018, https://arxiv.org/abs/1606.04838 (section 4); CS231n, lecture 7"

Warmup = Annotated[
    int, Field(ge=0, le=100_000, description="epochs in which the rate rises from 0, in a straight line")
]
Gamma = Annotated[Number, Field(gt=0, lt=1, description="the factor by which the rate falls")]
LastShare = Annotated[Number, Field(ge=0, le=1, description="the rate at the end, as a share of lr")]


class Constant(Record):
    """The rate stays as it is."""

    about = About(description="a rate that stays as it is", paper=_DECAY, prefix="invariant")
    name: Literal["constant"] = "constant"
    warmup_epochs: Warmup = 0


class Step(Record):
    """lr gamma^floor(e / every) after e epochs."""

    about = About(description="a rate that falls at once, every few epochs", paper=_DECAY, prefix="invariant")
    name: Literal["step"] = "step"
    warmup_epochs: Warmup = 0
    every: Annotated[int, Field(ge=1, le=100_000, description="epochs from one fall to the next")] = 2
    gamma: Gamma = 0.5


class Exponential(Record):
    """lr gamma^e after e epochs, falling with every step."""

    about = About(description="a rate that falls by one factor an epoch", paper=_DECAY, prefix="invariant")
    name: Literal["exponential"] = "exponential"
    warmup_epochs: Warmup = 0
    gamma: Gamma = 0.5


class InverseTime(Record):
    """lr / (1 + decay e) after e epochs."""

    about = About(
        description="a rate that falls as 1/t",
        paper="Robbins & Monro 1951, https://doi.org/10.1214/aoms/1177729586; CS231n, lecture 7",
        prefix="invariant",
    )
    name: Literal["1/t"] = "1/t"
    warmup_epochs: Warmup = 0
    decay: Annotated[Number, Field(gt=0, le=1000, description="how fast it falls, an epoch")] = 1.0


class InverseSqrt(Record):
    """lr sqrt(w / max(t, w)) at step t, after a warm-up of w steps, or of one."""

    about = About(
        description="a rate that falls as one over the root of the steps",
        paper="Vaswani et al. 2017, https://arxiv.org/abs/1706.03762 (section 5.3)",
        prefix="invariant",
    )
    name: Literal["inverse_sqrt"] = "inverse_sqrt"
    warmup_epochs: Warmup = 0


class Linear(Record):
    """A straight line from lr to `final` lr."""

    about = About(
        description="a rate that falls in a straight line to the end of the training",
        paper="Li et al. 2020, https://arxiv.org/abs/1905.04753",
        prefix="invariant",
    )
    name: Literal["linear"] = "linear"
    warmup_epochs: Warmup = 0
    final: LastShare = 0.0


class Cosine(Record):
    """Half a cosine from lr to `final` lr."""

    about = About(
        description="a rate that falls along half a cosine to the end of the training",
        paper="Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983 (equation 5, one cycle)",
        prefix="invariant",
    )
    name: Literal["cosine"] = "cosine"
    warmup_epochs: Warmup = 0
    final: LastShare = 0.0


class CosineRestarts(Record):
    """Half a cosine again and again, each time from lr; the cycles are equally long."""

    about = About(
        description="a cyclic rate: half a cosine from lr, several times",
        paper="Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983 (equation 5)",
        prefix="invariant",
    )
    name: Literal["cosine_restarts"] = "cosine_restarts"
    warmup_epochs: Warmup = 0
    final: LastShare = 0.0
    cycles: Annotated[int, Field(ge=1, le=100, description="how often it starts again from lr, the first included")] = 3
