"""Devices that trials train on, and the states of torch's random generators on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from trainables.errors import DeviceError

__all__ = ["CPU", "get_random_state", "resolve_device", "seeded", "set_random_state"]

CPU = torch.device("cpu")


def resolve_device(name: str) -> torch.device:
    """Return the device called `cpu`, `cuda` or `cuda:<index>`.

    Raises:
        DeviceError: another name, or a GPU that this machine does not have.
    """
    kind, _, index = name.partition(":")
    if name == "cpu":
        return torch.device(name)
    if kind != "cuda" or not (index.isdecimal() or name == "cuda"):
        raise DeviceError(f"device must be cpu, cuda or cuda:<index> ({name!r})")
    present = torch.cuda.device_count()
    if int(index or 0) >= present:
        raise DeviceError(f"{name} does not exist: this machine has {present} usable GPUs")
    return torch.device("cuda", int(index or 0))


def get_random_state(device: torch.device) -> list[Tensor]:
    """Return the state of torch's CPU generator, followed by that of `device` if it is a GPU."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def set_random_state(device: torch.device, state: list[Tensor]) -> None:
    """Restore what `get_random_state` returned."""
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Seed torch's generators for `device` inside the block, and restore their states after it.

    `torch.manual_seed` would seed all devices, which takes longer than ten training steps of a small head.
    """
    before = get_random_state(device)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    try:
        yield
    finally:
        set_random_state(device, before)
