"""Number formats of the forward pass; weights, their updates and checkpoints stay fp32."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from trainables.devices.tensors import NestedTensors
from trainables.errors import DeviceError

__all__ = [
    "autocast",
    "build_scaler",
    "check_precision",
    "describe_bf16",
    "has_bf16_instructions",
    "read_scaler",
    "write_scaler",
]

_TYPES: Final[Mapping[str, torch.dtype]] = MappingProxyType({"bf16": torch.bfloat16, "fp16": torch.float16})


def check_precision(precision: str, device: torch.device) -> None:
    """Raise DeviceError if `device` does not train in `precision`."""
    if precision == "fp16" and device.type == "cpu":
        raise DeviceError("precision fp16 needs a GPU: use fp32 on a CPU")


def has_bf16_instructions() -> bool:
    """Return True if this CPU computes in bf16 by instructions of its own (AVX512-BF16, AMX or Arm's), as torch says.

    Without them torch converts each value, which takes a multiple of the time of fp32.
    """
    return any(present is True and "bf16" in name for name, present in torch.cpu.get_capabilities().items())


def describe_bf16(device: str, *, has_instructions: bool) -> str | None:
    """Return a caution about bf16 on a device, with what was measured; None if the device is a GPU."""
    if device != "cpu":
        return None
    if has_instructions:
        return (
            "precision bf16 on a CPU halves the time of some backbones (torchvision/resnet18) and doubles that of "
            "others (timm/tf_efficientnet_lite0): compare the estimate with that of precision fp32"
        )
    return (
        "precision bf16 is many times slower than fp32 here, because this CPU has no bf16 instructions: use precision "
        "fp32"
    )


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return a context in which convolutions and matrix products compute in `precision` (Micikevicius et al. 2018)."""
    is_mixed = precision != "fp32"
    return torch.autocast(device.type, dtype=_TYPES.get(precision), enabled=is_mixed)


def build_scaler(precision: str, device: torch.device) -> torch.amp.GradScaler:
    """Return what scales the loss for fp16, whose smallest gradients would be 0; it does nothing for other formats."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


def read_scaler(scaler: torch.amp.GradScaler) -> dict[str, Tensor]:
    """Return the scaler's state; an empty dict if it does nothing."""
    return {name: torch.tensor(value) for name, value in scaler.state_dict().items()}


def write_scaler(scaler: torch.amp.GradScaler, saved: Tensor | NestedTensors) -> None:
    """Restore what `read_scaler` returned."""
    values = {} if isinstance(saved, Tensor) else saved
    if scaler.is_enabled():
        scaler.load_state_dict({name: value.item() for name, value in values.items() if isinstance(value, Tensor)})
