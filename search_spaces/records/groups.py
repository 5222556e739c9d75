"""The groups of a recipe's names, and the records that each group offers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import Field

from search_spaces.records.averages import NoAveraging, Polyak, Snapshot
from search_spaces.records.base import Record
from search_spaces.records.heads import Dropout, Head
from search_spaces.records.images import Augment, Balance, Mix
from search_spaces.records.optimizers import Adagrad, Adam, Adamw, Lbfgs, Lion, Momentum, Nesterov, Rmsprop, Sgd
from search_spaces.records.penalties import L1, L2, Clip, Elastic, NoPenalty
from search_spaces.records.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseSqrt,
    InverseTime,
    Linear,
    Step,
)

Optimizer = Annotated[
    Sgd | Momentum | Nesterov | Adagrad | Rmsprop | Adam | Adamw | Lion | Lbfgs, Field(discriminator="name")
]
Schedule = Annotated[
    Constant | Step | Exponential | InverseTime | InverseSqrt | Linear | Cosine | CosineRestarts,
    Field(discriminator="name"),
]
Penalty = Annotated[NoPenalty | L1 | L2 | Elastic, Field(discriminator="name")]
Averaging = Annotated[NoAveraging | Polyak | Snapshot, Field(discriminator="name")]

GROUPS: Final[Mapping[str, tuple[type[Record], ...]]] = MappingProxyType(
    {
        "optimizer": (Sgd, Momentum, Nesterov, Adagrad, Rmsprop, Adam, Adamw, Lion, Lbfgs),
        "schedule": (Constant, Step, Exponential, InverseTime, InverseSqrt, Linear, Cosine, CosineRestarts),
        "penalty": (NoPenalty, L1, L2, Elastic),
        "clip": (Clip,),
        "dropout": (Dropout,),
        "head": (Head,),
        "augment": (Augment,),
        "mix": (Mix,),
        "averaging": (NoAveraging, Polyak, Snapshot),
        "balance": (Balance,),
    }
)
"""The records of each group. If there are several, the `name` selects one; a single record needs no `name`."""

SURVEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "optimizer": "Ruder 2016, https://arxiv.org/abs/1609.04747",
        "schedule": "Bottou, Curtis & Nocedal 2018, https://arxiv.org/abs/1606.04838 (section 4)",
        "penalty": "Goodfellow, Bengio & Courville 2016, https://www.deeplearningbook.org (section 7.1)",
        "averaging": "Polyak & Juditsky 1992, https://doi.org/10.1137/0330046",
    }
)
"""A survey that compares the records of a group."""
