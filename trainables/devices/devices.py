"""Which device a trial trains on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from trainables.errors import DeviceError

__all__ = ["CPU", "get_random_state", "resolve_device", "seeded", "set_random_state"]

CPU = torch.device("cpu")


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


def get_random_state(device: torch.device) -> list[Tensor]:
    """Where torch's generators stand: the CPU's, and that of a GPU if `device` is one."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def set_random_state(device: torch.device, state: list[Tensor]) -> None:
    """The reverse of `get_random_state`."""
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Inside, torch's generators for `device` begin at `seed`; behind, they stand where they stood.

    `torch.manual_seed` seeds all devices that there are, and takes longer than ten steps of a small head.
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
