"""The queue of a service: which sweep starts next, which sweep a free worker serves, and what each user may use."""

from service.queues.gpu_hours import GpuAccount, GpuReservations, LedgerGpuAccount, make_gpu_reservations
from service.queues.limits import Limits
from service.queues.order import Obstacle, Submission, Waiting, next_to_start, order_queue
from service.queues.quotas import PRIORITIES, check_priority, check_quota, check_trials
from service.queues.reading import find_limits, find_problem, order_sweeps
from service.queues.shares import Candidate, Preemption, Shares

__all__ = [
    "PRIORITIES",
    "Candidate",
    "GpuAccount",
    "GpuReservations",
    "LedgerGpuAccount",
    "Limits",
    "Obstacle",
    "Preemption",
    "Shares",
    "Submission",
    "Waiting",
    "check_priority",
    "check_quota",
    "check_trials",
    "find_limits",
    "find_problem",
    "make_gpu_reservations",
    "next_to_start",
    "order_queue",
    "order_sweeps",
]
