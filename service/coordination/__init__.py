"""The coordinator of one running sweep: which trial comes next, what a result means, when to stop."""

from service.coordination.coordinator import Coordinator, GpuBudget, Result, new_sweep
from service.coordination.retries import cause_of

__all__ = ["Coordinator", "GpuBudget", "Result", "cause_of", "new_sweep"]
