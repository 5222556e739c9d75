"""Devices that a trial computes on: their memory, number formats, threads and tensors; and how busy a machine is."""

from trainables.devices.freed_memory import keep_freed_memory
from trainables.devices.gpus import Gpu, find_gpus
from trainables.devices.usage import UsageMeter

__all__ = ["Gpu", "UsageMeter", "find_gpus", "keep_freed_memory"]
