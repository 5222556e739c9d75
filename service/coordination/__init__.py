"""The coordinator of one running sweep: which trial comes next, what a result means, when to stop."""

from service.coordination.coordinator import Coordinator, new_sweep
from service.coordination.error_texts import describe_error, describe_memory_shortage, shorten
from service.coordination.gpu_time import GpuBudget
from service.coordination.results import Progress, Result
from service.coordination.retries import cause_of, node_fault

__all__ = [
    "Coordinator",
    "GpuBudget",
    "Progress",
    "Result",
    "cause_of",
    "describe_error",
    "describe_memory_shortage",
    "new_sweep",
    "node_fault",
    "shorten",
]
