"""Weights in files: read whole, checked against a SHA-256, parsed without running anything in them."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from trainables.errors import WeightsError

__all__ = ["Tensors", "read_local", "read_pth"]

Tensors = Mapping[str, Tensor]

_DIGEST_MARK = "#sha256="


def read_local(weights: str) -> Tensors:
    """The tensors of `FILE.safetensors` or `FILE.pth#sha256=DIGEST`. Raises WeightsError."""
    name, _, digest = weights.partition(_DIGEST_MARK)
    path = Path(name)
    if path.suffix == ".safetensors":
        return _parse_safetensors(path, _read_bytes(path, digest))
    if path.suffix == ".pth" and digest:
        return read_pth(path, digest)
    raise WeightsError(
        "weights must be pretrained, random, a .safetensors file, or a .pth file with "
        f"{_DIGEST_MARK}<64 hex> ({weights!r})"
    )


def read_pth(path: Path, digest: str) -> Tensors:
    """The tensors of a pickled file, whose SHA-256 must start with `digest`. Raises WeightsError."""
    try:
        content = io.BytesIO(_read_bytes(path, digest))
        loaded = torch.load(content, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:  # torch's text says how to run it all the same
        raise WeightsError(f"weights {path} are not a whole file of tensors alone, as a state_dict is saved") from error
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise WeightsError(f"weights {path} must hold tensors by name and nothing else")
    return loaded


def _read_bytes(path: Path, digest: str) -> bytes:
    """The file's content, whose SHA-256 must start with `digest` ("" asks for nothing)."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if not found.startswith(digest.lower()):
        raise WeightsError(f"weights {path} must have SHA-256 {digest} ({found})")
    return content


def _parse_safetensors(path: Path, content: bytes) -> Tensors:
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise WeightsError(f"weights {path} are not a whole safetensors file: {error}") from error
