"""What training changes in a model and its optimizer, copied out and put back exactly."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from trainables.backbones import Classifier
from trainables.checkpoints import NestedTensors
from trainables.errors import CheckpointError

__all__ = ["read_model", "read_optimizer", "write_model", "write_optimizer"]


def read_model(model: Classifier) -> dict[str, Tensor]:
    """Copies of the trained parameters and of the buffers behind the freeze boundary, by name."""
    return {name: tensor.detach().clone() for name, tensor in _changing(model)}


def write_model(model: Classifier, saved: Tensor | NestedTensors) -> None:
    """The reverse of `read_model`. Raises CheckpointError unless names and shapes are the same."""
    ours, tensors = dict(_changing(model)), _group(saved)
    if ours.keys() != tensors.keys():
        names = ", ".join(sorted(ours.keys() ^ tensors.keys())[:5])
        raise CheckpointError(f"checkpoint must hold what this recipe trains, and differs in {names}")
    for name, tensor in ours.items():
        value = tensors[name]
        if not isinstance(value, Tensor) or value.shape != tensor.shape:
            raise CheckpointError(f"checkpoint's {name} must have shape {tuple(tensor.shape)}")
        tensor.detach().copy_(value)


def read_optimizer(model: Classifier, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Tensor]]:
    """Copies of the optimizer's state, step counts included, by parameter name."""
    return {
        name: {key: value.detach().clone() for key, value in state.items() if isinstance(value, Tensor)}
        for name, parameter in _trained(model)
        if (state := optimizer.state.get(parameter))
    }


def write_optimizer(model: Classifier, optimizer: torch.optim.Optimizer, saved: Tensor | NestedTensors) -> None:
    """The reverse of `read_optimizer`: what has a parameter's shape takes its device and layout too."""
    states = _group(saved)
    for name, parameter in _trained(model):
        state = _group(states.get(name, {}))
        restored = {key: _like(parameter, value) for key, value in state.items() if isinstance(value, Tensor)}
        if restored:
            optimizer.state[parameter] = restored
        else:
            optimizer.state.pop(parameter, None)


def _group(value: Tensor | NestedTensors) -> NestedTensors:
    if isinstance(value, Tensor):
        raise CheckpointError("checkpoint must hold tensors by name")
    return value


def _like(parameter: nn.Parameter, value: Tensor) -> Tensor:
    if value.shape != parameter.shape:
        return value.clone()
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def _trained(model: Classifier) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


def _changing(model: Classifier) -> Iterator[tuple[str, Tensor]]:
    yield from _trained(model)
    for number, stage in enumerate(model.stages):
        if number >= model.freeze_depth:
            yield from stage.named_buffers(prefix=f"stages.{number}")
