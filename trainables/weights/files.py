"""Weight files: read completely, checked against a SHA-256, and parsed without running code in them."""

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
    """Return the tensors of `FILE.safetensors` or `FILE.pth#sha256=DIGEST`.

    Raises:
        WeightsError: another kind of file, or a file that is missing, altered or damaged.
    """
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
    """Return the tensors of a pickled file, whose SHA-256 must start with `digest`.

    Raises:
        WeightsError: the file is missing or altered, or holds anything but tensors by name.
    """
    try:
        content = io.BytesIO(_read_bytes(path, digest))
        loaded = torch.load(content, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
    ) as error:  # torch's own text explains how to run it nevertheless
        raise WeightsError(
            f"weights {path} must be a complete file that holds a state_dict: tensors by name"
        ) from error
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise WeightsError(f"weights {path} must hold tensors by name and nothing else")
    return loaded


def _read_bytes(path: Path, digest: str) -> bytes:
    """Return the file's content, whose SHA-256 must start with `digest`; "" accepts any."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror}") from error
    actual = hashlib.sha256(content).hexdigest()
    if not actual.startswith(digest.lower()):
        raise WeightsError(f"weights {path} must have SHA-256 {digest} ({actual})")
    return content


def _parse_safetensors(path: Path, content: bytes) -> Tensors:
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise WeightsError(f"weights {path} must be a complete safetensors file: {error}") from error
