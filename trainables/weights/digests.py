"""Digests of starting weights, which tell whether two trainings start from the same tensors."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import torch

from trainables.errors import NodeError
from trainables.weights.weights import load_weights

__all__ = ["check_weights_digest", "weights_digest"]


def weights_digest(backbone: str, weights: str) -> str | None:
    """Return the SHA-256, 64 hex digits, over the tensors that a backbone starts from, by name; None for `random`.

    The digest covers names, types, shapes and values. It does not depend on the file's format, or on a classifier head
    that the file holds, because that is not used.

    Raises:
        WeightsError: the weights are missing, altered, or do not fit.
    """
    if weights == "random":
        return None
    digest = hashlib.sha256()
    for name, tensor in sorted(load_weights(backbone, weights).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def check_weights_digest(backbone: str, weights: str, wanted: str, *, node: str) -> None:
    """Check that a backbone starts from the same tensors here. wanted: of `weights_digest`. node: name, for errors.

    Raises:
        NodeError: it starts from others.
        WeightsError: the weights are missing, altered, or do not fit.
    """
    here = _digest_once(backbone, weights)
    if here != wanted:
        raise NodeError(
            f"node {node}: the weights {weights} of {backbone} are not those of the sweep (digest {here}, the sweep's "
            f"{wanted}); put the same file, or the same version of the package that brings them, on every node"
        )


_digest_once = lru_cache(maxsize=64)(weights_digest)
"""The digest at the first call of this process: the weights are read once more for it."""
