"""Early stopping: pure functions of the reports so far."""

from service.schedulers.asha import Asha
from service.schedulers.base import NoStopping, Scheduler
from service.schedulers.brackets import bracket_in
from service.schedulers.curves import Report, Reports
from service.schedulers.median import MedianStopping
from service.schedulers.selection import build_scheduler

__all__ = ["Asha", "MedianStopping", "NoStopping", "Report", "Reports", "Scheduler", "bracket_in", "build_scheduler"]
