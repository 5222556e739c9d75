"""Estimates of a trial's memory on a device, from shapes alone: nothing is computed, and no device is needed."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from trainables.architectures import check_image_size, find_architecture

__all__ = ["GPU_OVERHEAD", "estimate_step_bytes"]

GPU_OVERHEAD = 1024**3
"""Bytes reserved for one process's CUDA context and its libraries' workspaces: a cautious guess, not measured."""

_STATES_A_WEIGHT = 2
_ALIVE_AT_ONCE = 3
_EVALUATION_BATCH = 32


def estimate_step_bytes(backbone: str, *, image_size: int, depth: int, batch_size: int) -> int:
    """Estimate the most bytes that training behind `depth` frozen stages takes, in fp32, without `GPU_OVERHEAD`.

    The sum of: all weights; a gradient and Adam's two averages for each thawed weight; everything that autograd keeps
    for the backward pass; and three of the largest activations, for tensors that live in between. Other optimizers and
    mixed precision need less.

    Raises:
        MeltpointError: the backbone does not take images of `image_size` pixels.
    """
    check_image_size(backbone, image_size)
    arch = find_architecture(backbone)
    model = copy.deepcopy(arch.skeleton)
    arch.resize(model, image_size)
    layers = arch.cut(model).whole()
    frozen = layers[:depth].requires_grad_(False).eval()
    thawed = layers[depth:].requires_grad_(True).train()
    trained = sum(_size(weight) for weight in thawed.parameters())
    weights = sum(_size(tensor) for tensor in (*layers.parameters(), *layers.buffers()))
    kept, largest = _activations(frozen, thawed, torch.empty(batch_size, 3, image_size, image_size, device="meta"))
    evaluated = largest * max(1.0, _EVALUATION_BATCH / batch_size)
    return int(weights + trained * (1 + _STATES_A_WEIGHT) + kept + _ALIVE_AT_ONCE * evaluated)


def _activations(frozen: nn.Module, thawed: nn.Module, images: Tensor) -> tuple[int, int]:
    """Return the bytes of the tensors that autograd saves, without weights, and those of the largest output."""
    own = {_storage(tensor) for layers in (frozen, thawed) for tensor in (*layers.parameters(), *layers.buffers())}
    kept: dict[int, Tensor] = {}
    largest = _size(images)

    def pack(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in own:
            kept.setdefault(_storage(tensor), tensor)
        return tensor

    def note(_: nn.Module, __: object, output: object) -> None:
        nonlocal largest
        largest = max(largest, *(_size(tensor) for tensor in _tensors(output)), 0)

    hooks = [module.register_forward_hook(note) for layers in (frozen, thawed) for module in layers.modules()]
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        with torch.no_grad():
            entering = frozen(images)
        features = thawed(entering)
    for hook in hooks:
        hook.remove()
    del features
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()), largest


def _tensors(output: object) -> Iterable[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    return [member for member in output if isinstance(member, Tensor)] if isinstance(output, list | tuple) else []


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
