"""Devices that a trial computes on: their memory, number formats, threads and tensors."""

from trainables.devices.freed_memory import keep_freed_memory
from trainables.devices.gpus import Gpu, find_gpus

__all__ = ["Gpu", "find_gpus", "keep_freed_memory"]
