"""Measurements of time and memory, from which `plan` makes its estimates."""

from trainables.measurements.measurements import DataCosts, StageCosts, measure_data, measure_stages
from trainables.measurements.memory_needs import GPU_OVERHEAD, estimate_step_bytes

__all__ = ["GPU_OVERHEAD", "DataCosts", "StageCosts", "estimate_step_bytes", "measure_data", "measure_stages"]
