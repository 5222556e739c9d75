"""Activations at the freeze boundary: computed once and cached for all trials of a node."""

from trainables.activations.cache import find_entries
from trainables.activations.sharing import (
    Costs,
    DiskSpeed,
    PrefixMode,
    SharingSettings,
    choose_prefix_modes,
    count_expected_uses,
    measure_disk_speed,
    usual_cache_limit,
)

__all__ = [
    "Costs",
    "DiskSpeed",
    "PrefixMode",
    "SharingSettings",
    "choose_prefix_modes",
    "count_expected_uses",
    "find_entries",
    "measure_disk_speed",
    "usual_cache_limit",
]
