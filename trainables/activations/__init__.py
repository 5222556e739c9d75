"""Activations at the freeze boundary, computed once and cached for all trials of a node."""

from trainables.activations.cache import stored_entries
from trainables.activations.sharing import Costs, DiskSpeed, SharingPlan, Verdict, disk_speed, expected_uses, judge

__all__ = ["Costs", "DiskSpeed", "SharingPlan", "Verdict", "disk_speed", "expected_uses", "judge", "stored_entries"]
