"""Tensors by name, nested as a checkpoint nests them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

__all__ = ["NestedTensors"]

NestedTensors = Mapping[str, "Tensor | NestedTensors"]
