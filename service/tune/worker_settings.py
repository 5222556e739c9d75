"""Settings of all trials' processes. This module loads no Ray."""

from __future__ import annotations

__all__ = ["HANG_SECONDS", "LOG"]

HANG_SECONDS = 300.0
"""Time without a sign of life after which a trial is killed; a trial that computes gives one about every second."""

LOG = "trials.log"
"""File in the sweep's folder for what trials' processes print."""
