"""The type of nested tensors by name, as in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

__all__ = ["NestedTensors"]

NestedTensors = Mapping[str, "Tensor | NestedTensors"]
