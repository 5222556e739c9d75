"""Checkpoints that are whole or refused: safetensors with the digest in the name, written to a temporary file first."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

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


def save_checkpoint(folder: Path, *, epoch: int, tensors: NestedTensors, meta: Mapping[str, Any]) -> Path:
    """Write `epoch-<number>-<sha256>.safetensors` into `folder` and return its path.

    The file appears whole under its final name or not at all. Names in `tensors` must not contain "/".

    Raises:
        CheckpointError: the folder cannot be written or is full.
    """
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in _flatten(tensors)}
    content = safetensors.torch.save(flat, metadata={"meta": json.dumps(dict(meta), sort_keys=True)})
    path = folder / f"epoch-{epoch:06d}-{hashlib.sha256(content).hexdigest()}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, content)
    except OSError as error:
        raise CheckpointError(f"checkpoint {path} cannot be written: {error.strerror}") from error
    return path


def on_cpu(tensors: NestedTensors) -> NestedTensors:
    """Return the same tensors on the CPU; those of a GPU are copied."""
    return {name: value.cpu() if isinstance(value, Tensor) else on_cpu(value) for name, value in tensors.items()}


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint to the CPU. Raises CheckpointError unless its content has the digest in its name."""
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise CheckpointError(f"checkpoint {path} must be named epoch-<number>-<sha256>.safetensors")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != name["digest"]:
        raise CheckpointError(f"checkpoint {path} is torn or altered: its content has another SHA-256")
    return Checkpoint(
        epoch=int(name["epoch"]), tensors=_nest(safetensors.torch.load(content)), meta=_read_meta(content)
    )


def _write(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".epoch-", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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
