"""Which device a trial trains on."""

from __future__ import annotations

import torch

from trainables.errors import DeviceError

__all__ = ["resolve_device"]


def resolve_device(name: str) -> torch.device:
    """`cpu`, `cuda` or `cuda:<index>`. Raises DeviceError for another, saying how many GPUs there are."""
    kind, _, index = name.partition(":")
    if name == "cpu":
        return torch.device(name)
    if kind != "cuda" or not (index.isdecimal() or name == "cuda"):
        raise DeviceError(f"device must be cpu, cuda or cuda:<index> ({name!r})")
    present = torch.cuda.device_count()
    if int(index or 0) >= present:
        raise DeviceError(f"{name} was asked for: this machine has {present} usable GPUs")
    return torch.device("cuda", int(index or 0))
