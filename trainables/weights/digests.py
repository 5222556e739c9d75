"""Digests of starting weights, which tell whether two trainings start from the same tensors."""

from __future__ import annotations

import hashlib

import torch

from trainables.weights.weights import load_weights

__all__ = ["weights_digest"]


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
