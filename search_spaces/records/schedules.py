"""Learning-rate schedules over the steps of a training; each may begin with a linear warm-up."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from search_spaces.records.base import About, Number, Record

_DECAY: Final = "Bottou, Curtis & Nocedal 2018, https://arxiv.org/abs/1606.04838 (section 4); CS231n, lecture 7"

Warmup = Annotated[int, Field(ge=0, le=100_000, description="number of epochs in which the rate rises linearly from 0")]
Gamma = Annotated[Number, Field(gt=0, lt=1, description="the factor by which the rate falls")]
LastShare = Annotated[Number, Field(ge=0, le=1, description="the rate at the end, as a share of lr")]


class Constant(Record):
    """Keep the rate at lr."""

    about = About(description="a constant rate", paper=_DECAY, prefix="invariant")
    name: Literal["constant"] = "constant"
    warmup_epochs: Warmup = 0


class Step(Record):
    """Set the rate to lr gamma^floor(e / every) after e epochs."""

    about = About(description="a rate that drops every few epochs", paper=_DECAY, prefix="invariant")
    name: Literal["step"] = "step"
    warmup_epochs: Warmup = 0
    every: Annotated[int, Field(ge=1, le=100_000, description="epochs from one drop to the next")] = 2
    gamma: Gamma = 0.5


class Exponential(Record):
    """Set the rate to lr gamma^e after e epochs; it falls at every step."""

    about = About(description="a rate that falls by the same factor in each epoch", paper=_DECAY, prefix="invariant")
    name: Literal["exponential"] = "exponential"
    warmup_epochs: Warmup = 0
    gamma: Gamma = 0.5


class InverseTime(Record):
    """Set the rate to lr / (1 + decay e) after e epochs."""

    about = About(
        description="a rate that falls as 1/t",
        paper="Robbins & Monro 1951, https://doi.org/10.1214/aoms/1177729586; CS231n, lecture 7",
        prefix="invariant",
    )
    name: Literal["1/t"] = "1/t"
    warmup_epochs: Warmup = 0
    decay: Annotated[Number, Field(gt=0, le=1000, description="how fast the rate falls, per epoch")] = 1.0


class InverseSqrt(Record):
    """Set the rate to lr sqrt(w / max(t, w)) at step t, after a warm-up of w steps (1 if there is no warm-up)."""

    about = About(
        description="a rate that falls as 1 over the square root of the step",
        paper="Vaswani et al. 2017, https://arxiv.org/abs/1706.03762 (section 5.3)",
        prefix="invariant",
    )
    name: Literal["inverse_sqrt"] = "inverse_sqrt"
    warmup_epochs: Warmup = 0


class Linear(Record):
    """Lower the rate linearly from lr to `final` lr."""

    about = About(
        description="a rate that falls linearly to the end of the training",
        paper="Li et al. 2020, https://arxiv.org/abs/1905.04753",
        prefix="invariant",
    )
    name: Literal["linear"] = "linear"
    warmup_epochs: Warmup = 0
    final: LastShare = 0.0


class Cosine(Record):
    """Lower the rate from lr to `final` lr along half a cosine."""

    about = About(
        description="a rate that falls along half a cosine to the end of the training",
        paper="Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983 (equation 5, one cycle)",
        prefix="invariant",
    )
    name: Literal["cosine"] = "cosine"
    warmup_epochs: Warmup = 0
    final: LastShare = 0.0


class CosineRestarts(Record):
    """Lower the rate along half a cosine again and again, each time from lr; all cycles are equally long."""

    about = About(
        description="a cyclic rate: half a cosine from lr, several times",
        paper="Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983 (equation 5)",
        prefix="invariant",
    )
    name: Literal["cosine_restarts"] = "cosine_restarts"
    warmup_epochs: Warmup = 0
    final: LastShare = 0.0
    cycles: Annotated[int, Field(ge=1, le=100, description="number of cycles, each starting from lr")] = 3
