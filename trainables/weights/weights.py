"""A backbone's starting weights, checked before anything trains on them."""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType

from torch import Tensor

from trainables.architectures import check_image_size, find_architecture
from trainables.errors import WeightsError
from trainables.weights.files import Tensors, read_local
from trainables.weights.pretrained import read_pretrained

__all__ = ["check_weights", "load_weights"]

_NAMES_SHOWN = 5
_KEPT_IN_MEMORY = 4


def check_weights(backbone: str, weights: str, image_size: int | None = None) -> None:
    """Raise now what a trial would raise later.

    Raises:
        MeltpointError: an unknown backbone, or one that does not take images of `image_size` pixels, if given.
        WeightsError: the weights are missing, altered, or do not fit. `random` always passes.
    """
    find_architecture(backbone)
    if image_size is not None:
        check_image_size(backbone, image_size)
    if weights != "random":
        load_weights(backbone, weights)


def load_weights(backbone: str, weights: str) -> Tensors:
    """Return the backbone's tensors by the library's own names, without a classifier head.

    A file is read at each call. Pretrained tensors are read once in each process and shared: never change them.

    Args:
        backbone: the backbone's name.
        weights: `pretrained`, the path of a `.safetensors` file, or `FILE.pth#sha256=<64 hex>`.

    Raises:
        WeightsError: the file is missing, altered, or does not fit; the message names the tensors.
    """
    if weights == "pretrained":
        return _load_pretrained(backbone)
    return _fit(backbone, weights, read_local(weights))


@lru_cache(maxsize=_KEPT_IN_MEMORY)
def _load_pretrained(backbone: str) -> Tensors:
    return MappingProxyType(_fit(backbone, "pretrained", read_pretrained(backbone)))


def _fit(backbone: str, weights: str, tensors: Tensors) -> dict[str, Tensor]:
    """Return `tensors` without the head, which ours replaces; raise WeightsError if the rest does not fit."""
    head = find_architecture(backbone).head
    expected = find_architecture(backbone).skeleton.state_dict()
    body = {name: tensor for name, tensor in tensors.items() if name not in head}
    reshaped = [
        f"{name} is {_shape(body[name])}, must be {_shape(expected[name])}"
        for name in expected
        if name in body and body[name].shape != expected[name].shape
    ]
    faults = [
        _listed("missing", [name for name in expected if name not in body]),
        _listed("unexpected", [name for name in body if name not in expected]),
        _listed("of another shape", reshaped),
    ]
    if any(faults):
        raise WeightsError(f"weights {weights} do not fit {backbone}: " + "; ".join(filter(None, faults)))
    return body


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"


def _listed(fault: str, names: list[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    return f"{len(names)} {fault} ({shown})" if names else ""
