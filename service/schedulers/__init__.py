"""Prestarted stopping: pure functions of the reports so far."""

from service.schedulers.brackets import bracket_in
from service.schedulers.curves import Report, Reports
from service.schedulers.schedulers import NoStopping, Scheduler, build_scheduler

__all__ = ["NoStopping", "Report", "Reports", "Scheduler", "bracket_in", "build_scheduler"]
