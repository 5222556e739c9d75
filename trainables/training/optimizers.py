"""The optimizers of the vocabulary, each built from its record alone.

`g` is the gradient. Where a description names no weight decay, torch adds weight_decay x to the gradient first (Krogh &
Hertz 1991), for every parameter, biases and norms included, and after clipping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from pydantic import BaseModel
from timm.optim import Lion
from torch import nn

__all__ = ["OPTIMIZERS", "OptimizerInfo", "build_optimizer"]


@dataclass(frozen=True, kw_only=True)
class OptimizerInfo:
    """Facts about an optimizer; `build(parameters, **fields of its record)` makes one."""

    name: str
    description: str
    paper: str
    build: Callable[..., torch.optim.Optimizer]


def _lbfgs(parameters: Iterable[nn.Parameter], *, lr: float, history: int, max_evals: int) -> torch.optim.LBFGS:
    return torch.optim.LBFGS(
        parameters,
        lr=lr,
        max_iter=max_evals,
        max_eval=max_evals,
        history_size=history,
        line_search_fn="strong_wolfe",
    )


_INFOS = (
    OptimizerInfo(
        name="sgd",
        description="x -= lr g",
        paper="Robbins & Monro 1951",
        build=torch.optim.SGD,
    ),
    OptimizerInfo(
        name="momentum",
        description="v = momentum v + g; x -= lr v",
        paper="Polyak 1964",
        build=torch.optim.SGD,
    ),
    OptimizerInfo(
        name="nesterov",
        description="v = momentum v + g; x -= lr (g + momentum v)",
        paper="Nesterov 1983; Sutskever et al. 2013",
        build=partial(torch.optim.SGD, nesterov=True),
    ),
    OptimizerInfo(
        name="adagrad",
        description="s += g^2; x -= lr g / (sqrt(s) + eps)",
        paper="Duchi, Hazan & Singer 2011",
        build=torch.optim.Adagrad,
    ),
    OptimizerInfo(
        name="rmsprop",
        description="s = alpha s + (1 - alpha) g^2; x -= lr g / (sqrt(s) + eps)",
        paper="Tieleman & Hinton 2012",
        build=torch.optim.RMSprop,
    ),
    OptimizerInfo(
        name="adam",
        description="bias-corrected running means of g and g^2; x -= lr m / (sqrt(v) + eps)",
        paper="Kingma & Ba 2015",
        build=torch.optim.Adam,
    ),
    OptimizerInfo(
        name="adamw",
        description="adam, with x *= 1 - lr weight_decay apart from the gradient",
        paper="Loshchilov & Hutter 2019",
        build=torch.optim.AdamW,
    ),
    OptimizerInfo(
        name="lion",
        description="x *= 1 - lr weight_decay; x -= lr sign(beta1 m + (1 - beta1) g); m = beta2 m + (1 - beta2) g",
        paper="Chen et al. 2023",
        build=Lion,
    ),
    OptimizerInfo(
        name="lbfgs",
        description="x += lr t d, d = -H g with H of the last steps, t by a strong Wolfe line search",
        paper="Liu & Nocedal 1989",
        build=_lbfgs,
    ),
)

OPTIMIZERS: dict[str, OptimizerInfo] = {info.name: info for info in _INFOS}


def build_optimizer(record: BaseModel, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Build the optimizer that a record names, for `parameters`; the record's other fields are its settings."""
    fields = record.model_dump()
    return OPTIMIZERS[fields.pop("name")].build(parameters, **fields)
