"""The coordinator of one running sweep: which trial comes next, what a result means, when to stop."""

from service.coordination.coordinator import Coordinator, new_sweep
from service.coordination.gpu_time import GpuBudget
from service.coordination.results import Progress, Result
from service.coordination.retries import cause_of

__all__ = ["Coordinator", "GpuBudget", "Progress", "Result", "cause_of", "new_sweep"]
