"""The weights that are evaluated and kept: the last, their average, or several."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from search_spaces.records.base import About, Number, Record

_POLYAK: Final = "Polyak & Juditsky 1992, https://doi.org/10.1137/0330046; CS231n, lecture 7"


class NoAveraging(Record):
    """Evaluate and keep the last weights of the training."""

    about = About(description="the last weights", paper=_POLYAK, prefix="invariant")
    name: Literal["none"] = "none"


class Polyak(Record):
    """Evaluate and keep an exponential moving average of the weights.

    The decay at step t is min(decay, (1 + t) / (10 + t)), so that the untrained weights soon stop to count.
    """

    about = About(description="a moving average of the weights", paper=_POLYAK, prefix="invariant")
    name: Literal["polyak"] = "polyak"
    decay: Annotated[Number, Field(ge=0, lt=1, description="share of the average that a step keeps")] = 0.99


class Snapshot(Record):
    """Average the probabilities of the weights at the end of each cycle of schedule cosine_restarts.

    Until the last cycle ends, average those of the finished cycles and of the current weights.
    """

    about = About(
        description="an ensemble of the weights at the end of each cycle of the rate",
        paper="Huang et al. 2017, https://arxiv.org/abs/1704.00109",
        prefix="invariant",
    )
    name: Literal["snapshot"] = "snapshot"
