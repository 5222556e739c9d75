"""Checkpoints that are whole or refused: safetensors in a store, with the digest in the file's name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import safetensors.torch
from torch import Tensor

from trainables.checkpoint_stores import name_of_place, open_store
from trainables.devices.tensors import NestedTensors
from trainables.errors import CheckpointError

__all__ = ["Checkpoint", "load_checkpoint", "on_cpu", "save_checkpoint"]

_NAME = re.compile(r"epoch-(?P<epoch>\d{6,})-(?P<digest>[0-9a-f]{64})\.safetensors")
_SEPARATOR = "/"


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """State after `epoch` finished epochs: nested tensors by name, and `meta`, which JSON can hold."""

    epoch: int
    tensors: NestedTensors
    meta: Mapping[str, Any]


def save_checkpoint(folder: str | PathLike[str], *, epoch: int, tensors: NestedTensors, meta: Mapping[str, Any]) -> str:
    """Write `epoch-<number>-<sha256>.safetensors` into `folder`, a path or a URI, and return its location.

    The location is returned once the whole file is there. Names in `tensors` must not contain "/".

    Raises:
        StoreError: the folder cannot be written, is full or cannot be reached.
    """
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in _flatten(tensors)}
    content = safetensors.torch.save(flat, metadata={"meta": json.dumps(dict(meta), sort_keys=True)})
    name = f"epoch-{epoch:06d}-{hashlib.sha256(content).hexdigest()}.safetensors"
    place = str(folder)
    return open_store(place).write(place, name, content)


def on_cpu(tensors: NestedTensors) -> NestedTensors:
    """Return the same tensors on the CPU; those of a GPU are copied."""
    return {name: value.cpu() if isinstance(value, Tensor) else on_cpu(value) for name, value in tensors.items()}


def load_checkpoint(location: str | PathLike[str]) -> Checkpoint:
    """Read a checkpoint to the CPU.

    Raises:
        CheckpointError: it is gone, or its content has another digest than its name.
        StoreError: its store cannot be reached, or refuses.
    """
    place = str(location)
    name = _NAME.fullmatch(name_of_place(place))
    if name is None:
        raise CheckpointError(f"checkpoint {place} must be named epoch-<number>-<sha256>.safetensors")
    content = open_store(place).read(place)
    if hashlib.sha256(content).hexdigest() != name["digest"]:
        raise CheckpointError(f"checkpoint {place} is torn or altered: its content has another SHA-256")
    return Checkpoint(
        epoch=int(name["epoch"]), tensors=_nest(safetensors.torch.load(content)), meta=_read_meta(content)
    )


def _flatten(tensors: NestedTensors, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in tensors.items():
        if _SEPARATOR in name:
            raise ValueError(f'names must not contain "{_SEPARATOR}" ({name!r})')
        if isinstance(value, Tensor):
            yield prefix + name, value
        else:
            yield from _flatten(value, prefix + name + _SEPARATOR)


def _nest(flat: Mapping[str, Tensor]) -> NestedTensors:
    root: dict[str, Any] = {}
    for path, tensor in flat.items():
        *groups, name = path.split(_SEPARATOR)
        group = root
        for part in groups:
            group = group.setdefault(part, {})
        group[name] = tensor
    return root


def _read_meta(content: bytes) -> dict[str, Any]:
    """Return the `meta` in a safetensors header: 8 bytes of length (little endian), then JSON."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    meta: dict[str, Any] = json.loads(header["__metadata__"]["meta"])
    return meta
