"""What training changes in a model and its optimizer, copied out and put back exactly."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from trainables.classifiers import Classifier
from trainables.devices.tensors import NestedTensors
from trainables.errors import CheckpointError

_NUMBER = "number"
_LBFGS_LISTS = ("old_dirs", "old_stps", "ro")
"""Of L-BFGS; an empty list leaves no tensor behind."""

__all__ = ["read_model", "read_optimizer", "trained_buffers", "trained_parameters", "write_model", "write_optimizer"]


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


def trained_parameters(model: Classifier) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that training changes, by name."""
    for name, module in model.unfrozen():
        for inner, parameter in module.named_parameters(prefix=name):
            if parameter.requires_grad:
                yield inner, parameter


def trained_buffers(model: Classifier) -> Iterator[tuple[str, Tensor]]:
    """The buffers that a training step changes, by name."""
    for name, module in model.unfrozen():
        yield from module.named_buffers(prefix=name)


def read_optimizer(model: Classifier, optimizer: torch.optim.Optimizer) -> dict[str, NestedTensors]:
    """Copies of the optimizer's state, step counts included, by parameter name."""
    return {
        name: {key: kept for key, value in state.items() if (kept := _kept(value)) is not None}
        for name, parameter in trained_parameters(model)
        if (state := optimizer.state.get(parameter))
    }


def write_optimizer(model: Classifier, optimizer: torch.optim.Optimizer, saved: Tensor | NestedTensors) -> None:
    """The reverse of `read_optimizer`: what has a parameter's shape takes its device and layout too."""
    states = _group(saved)
    for name, parameter in trained_parameters(model):
        state = _group(states.get(name, {}))
        restored = {key: _given_back(parameter, value) for key, value in state.items()}
        if restored:
            if isinstance(optimizer, torch.optim.LBFGS):
                restored = {key: [] for key in _LBFGS_LISTS} | restored
            optimizer.state[parameter] = restored
        else:
            optimizer.state.pop(parameter, None)


def _kept(value: object) -> Tensor | NestedTensors | None:
    """A tensor, a number (as that alone in a group) or a list of tensors; None for what a step makes anew."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, int | float):
        return {_NUMBER: torch.tensor(value) if isinstance(value, int) else torch.tensor(value, dtype=torch.float64)}
    if isinstance(value, list) and all(isinstance(one, Tensor) for one in value):
        return {f"{place:04d}": one.detach().clone() for place, one in enumerate(value)}
    return None


def _given_back(parameter: nn.Parameter, value: Tensor | NestedTensors) -> object:
    """The reverse of `_kept`."""
    if isinstance(value, Tensor):
        return _like(parameter, value)
    number = value.get(_NUMBER)
    if isinstance(number, Tensor):
        return number.item()
    listed = [value[place] for place in sorted(value)]
    return [_like(parameter, one) for one in listed if isinstance(one, Tensor)]


def _group(value: Tensor | NestedTensors) -> NestedTensors:
    if isinstance(value, Tensor):
        raise CheckpointError("checkpoint must hold tensors by name")
    return value


def _like(parameter: nn.Parameter, value: Tensor) -> Tensor:
    if value.shape != parameter.shape:
        return value.clone()
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def _changing(model: Classifier) -> Iterator[tuple[str, Tensor]]:
    yield from trained_parameters(model)
    yield from trained_buffers(model)
