"""The state that training changes in a model and its optimizer: copied out, and restored exactly."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from trainables.classifiers import Classifier
from trainables.devices.tensors import NestedTensors
from trainables.errors import CheckpointError

_NUMBER = "number"
_LBFGS_LISTS = ("old_dirs", "old_stps", "ro")
"""Lists in the state of L-BFGS; an empty list leaves no tensor in a checkpoint."""

__all__ = ["read_model", "read_optimizer", "trained_buffers", "trained_parameters", "write_model", "write_optimizer"]


def read_model(model: Classifier) -> dict[str, Tensor]:
    """Return copies of the trained parameters and of the buffers behind the freeze boundary, by name."""
    return {name: tensor.detach().clone() for name, tensor in _changing(model)}


def write_model(model: Classifier, saved: Tensor | NestedTensors) -> None:
    """Restore what `read_model` returned. Raises CheckpointError unless names and shapes are the same."""
    ours, tensors = dict(_changing(model)), _group(saved)
    if ours.keys() != tensors.keys():
        names = ", ".join(sorted(ours.keys() ^ tensors.keys())[:5])
        raise CheckpointError(f"checkpoint must hold what this recipe trains, but differs in {names}")
    for name, tensor in ours.items():
        value = tensors[name]
        if not isinstance(value, Tensor) or value.shape != tensor.shape:
            raise CheckpointError(f"checkpoint's {name} must have shape {tuple(tensor.shape)}")
        tensor.detach().copy_(value)


def trained_parameters(model: Classifier) -> Iterator[tuple[str, nn.Parameter]]:
    """Iterate over the parameters that training changes, by name."""
    for name, module in model.unfrozen():
        for inner, parameter in module.named_parameters(prefix=name):
            if parameter.requires_grad:
                yield inner, parameter


def trained_buffers(model: Classifier) -> Iterator[tuple[str, Tensor]]:
    """Iterate over the buffers that a training step changes, by name."""
    for name, module in model.unfrozen():
        yield from module.named_buffers(prefix=name)


def read_optimizer(model: Classifier, optimizer: torch.optim.Optimizer) -> dict[str, NestedTensors]:
    """Return copies of the optimizer's state, step counts included, by parameter name."""
    return {
        name: {key: saved for key, value in state.items() if (saved := _save(value)) is not None}
        for name, parameter in trained_parameters(model)
        if (state := optimizer.state.get(parameter))
    }


def write_optimizer(model: Classifier, optimizer: torch.optim.Optimizer, saved: Tensor | NestedTensors) -> None:
    """Restore what `read_optimizer` returned. Tensors with a parameter's shape take its device and layout."""
    states = _group(saved)
    for name, parameter in trained_parameters(model):
        state = _group(states.get(name, {}))
        restored = {key: _restore(parameter, value) for key, value in state.items()}
        if restored:
            if isinstance(optimizer, torch.optim.LBFGS):
                restored = {key: [] for key in _LBFGS_LISTS} | restored
            optimizer.state[parameter] = restored
        else:
            optimizer.state.pop(parameter, None)


def _save(value: object) -> Tensor | NestedTensors | None:
    """Return a tensor as a copy, and a number or a list of tensors as a group; None for what each step makes anew."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, int | float):
        return {_NUMBER: torch.tensor(value) if isinstance(value, int) else torch.tensor(value, dtype=torch.float64)}
    if isinstance(value, list) and all(isinstance(member, Tensor) for member in value):
        return {f"{place:04d}": member.detach().clone() for place, member in enumerate(value)}
    return None


def _restore(parameter: nn.Parameter, value: Tensor | NestedTensors) -> object:
    """Return what `_save` was given."""
    if isinstance(value, Tensor):
        return _like(parameter, value)
    number = value.get(_NUMBER)
    if isinstance(number, Tensor):
        return number.item()
    members = [value[place] for place in sorted(value)]
    return [_like(parameter, member) for member in members if isinstance(member, Tensor)]


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
