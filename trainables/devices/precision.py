"""The number formats that a forward pass computes in; weights, their updates and what is saved stay fp32."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from trainables.devices.tensors import NestedTensors
from trainables.errors import DeviceError

__all__ = ["autocast", "build_scaler", "check_precision", "read_scaler", "write_scaler"]

_TYPES: Final[Mapping[str, torch.dtype]] = MappingProxyType({"bf16": torch.bfloat16, "fp16": torch.float16})


def check_precision(precision: str, device: torch.device) -> None:
    """Raise DeviceError where `device` does not train in `precision`."""
    if precision == "fp16" and device.type == "cpu":
        raise DeviceError("precision fp16 needs a GPU: take bf16 or fp32 on a CPU")


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Where it is active, convolutions and matrix products compute in `precision` (Micikevicius et al. 2018)."""
    mixed = precision != "fp32"
    return torch.autocast(device.type, dtype=_TYPES.get(precision), enabled=mixed)


def build_scaler(precision: str, device: torch.device) -> torch.amp.GradScaler:
    """Scales the loss for fp16, whose smallest gradients would be zero; else it does nothing."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


def read_scaler(scaler: torch.amp.GradScaler) -> dict[str, Tensor]:
    """What the scaler has learnt; nothing where it does nothing."""
    return {name: torch.tensor(value) for name, value in scaler.state_dict().items()}


def write_scaler(scaler: torch.amp.GradScaler, saved: Tensor | NestedTensors) -> None:
    """The reverse of `read_scaler`."""
    values = {} if isinstance(saved, Tensor) else saved
    if scaler.is_enabled():
        scaler.load_state_dict({name: value.item() for name, value in values.items() if isinstance(value, Tensor)})
