"""The GPUs of this machine, as NVIDIA's driver lists them: the asking process gets no CUDA context."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pynvml

__all__ = ["Gpu", "find_gpus"]


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU.

    Attributes:
        name: the product name, such as `NVIDIA H100 80GB HBM3`.
        memory: bytes in total.
        free: bytes that no process uses at the moment of the call.
        driver: version of NVIDIA's driver.
    """

    name: str
    memory: int
    free: int
    driver: str


def find_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that `CUDA_VISIBLE_DEVICES` leaves visible; an empty tuple without NVIDIA's driver.

    As in CUDA, the variable lists indices or UUIDs (`GPU-...`, or their beginnings), and an entry that names no GPU
    hides itself and all that follow. Cards of other makers, parts of a card (`MIG-...`) and cards that do not tell
    their memory are left out.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        driver = pynvml.nvmlSystemGetDriverVersion()
        handles = _all_handles()
        chosen = list(handles.values()) if visible is None else _visible_handles(handles, visible)
        described = [_describe(handle, driver) for handle in chosen]
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()
    return tuple(gpu for gpu in described if gpu is not None)


def _all_handles() -> dict[int, Any]:
    """Return index -> handle of every GPU that answers."""
    handles = {}
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            handles[index] = pynvml.nvmlDeviceGetHandleByIndex(index)
        except pynvml.NVMLError:  # a card that fell off the bus must not hide the others
            continue
    return handles


def _visible_handles(handles: dict[int, Any], visible: str) -> list[Any]:
    """Return the handles that `visible` lists, in its order, up to the first entry that names no GPU."""
    chosen = []
    for entry in visible.split(","):
        handle = _match_entry(handles, entry.strip())
        if handle is None:
            break
        chosen.append(handle)
    return chosen


def _match_entry(handles: dict[int, Any], entry: str) -> Any | None:
    if entry.isdecimal():
        return handles.get(int(entry))
    if not entry.startswith("GPU-"):
        return None
    return next((each for each in handles.values() if pynvml.nvmlDeviceGetUUID(each).startswith(entry)), None)


def _describe(handle: Any, driver: str) -> Gpu | None:
    """Return None for a card that does not tell its memory, such as one that shares the processor's."""
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        return Gpu(name=pynvml.nvmlDeviceGetName(handle), memory=memory.total, free=memory.free, driver=driver)
    except pynvml.NVMLError:
        return None
