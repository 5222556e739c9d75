"""The run of one sweep, from the images to the registered candidate."""

from service.runs.kept_checkpoints import measure_checkpoints, space_taken
from service.runs.listeners import Listener, Phase, SilentListener, SweepStart, in_phase
from service.runs.outcomes import Outcome
from service.runs.snapshots import Snapshot

__all__ = [
    "Listener",
    "Outcome",
    "Phase",
    "SilentListener",
    "Snapshot",
    "SweepStart",
    "in_phase",
    "measure_checkpoints",
    "space_taken",
]
