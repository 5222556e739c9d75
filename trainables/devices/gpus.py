"""The GPUs of this machine, as NVIDIA's driver lists them: the asking process gets no CUDA context."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pynvml

__all__ = ["Gpu", "GpuUse", "find_gpus", "read_gpu_use"]

_Answer = TypeVar("_Answer")


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


@dataclass(frozen=True, kw_only=True)
class GpuUse:
    """How busy a GPU is, whoever uses it. utilization: percent of the last second or less. used, memory: in bytes."""

    utilization: float
    used: int
    memory: int


def find_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that `CUDA_VISIBLE_DEVICES` leaves visible; an empty tuple without NVIDIA's driver.

    As in CUDA, the variable lists indices or UUIDs (`GPU-...`, or their beginnings), and an entry that names no GPU
    hides itself and all that follow. Cards of other makers, parts of a card (`MIG-...`) and cards that do not tell
    their memory are left out.
    """

    def describe_all(handles: list[Any]) -> list[Gpu | None]:
        driver = pynvml.nvmlSystemGetDriverVersion()
        return [_describe(handle, driver) for handle in handles]

    return _ask_visible(describe_all)


def read_gpu_use() -> tuple[GpuUse, ...]:
    """Return how busy the visible GPUs are, in the order of `find_gpus`; those that do not tell are left out."""
    return _ask_visible(lambda handles: [_read_use(handle) for handle in handles])


def _ask_visible(ask: Callable[[list[Any]], Sequence[_Answer | None]]) -> tuple[_Answer, ...]:
    """Return what NVIDIA's driver answers about the visible GPUs; nothing if it does not answer."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        handles = _all_handles()
        chosen = list(handles.values()) if visible is None else _visible_handles(handles, visible)
        answers = ask(chosen)
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()
    return tuple(answer for answer in answers if answer is not None)


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


def _read_use(handle: Any) -> GpuUse | None:
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        utilization = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
        return GpuUse(utilization=float(utilization), used=memory.used, memory=memory.total)
    except pynvml.NVMLError:
        return None
