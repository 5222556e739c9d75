"""What goes wrong while one trial prepares, trains or saves: one line each, one root."""

from __future__ import annotations

from search_spaces.errors import MeltpointError

__all__ = ["CheckpointError", "DataError", "DeviceError", "DivergedError", "OwnCodeError", "WeightsError"]


class DataError(MeltpointError):
    """The images, labels or splits cannot be used as given."""


class WeightsError(MeltpointError):
    """A backbone's weights are missing, damaged or do not fit."""


class CheckpointError(MeltpointError):
    """A checkpoint is missing, torn, altered or belongs to another recipe."""


class DivergedError(MeltpointError):
    """Training left the finite numbers: the loss is NaN or infinite."""


class DeviceMemoryError(MeltpointError):
    """A device's memory does not hold even one image's training step."""


class DeviceError(MeltpointError):
    """A device was asked for that this machine does not have."""


class OwnCodeError(MeltpointError):
    """A function of the user's own is missing, raises, or returns what it must not: `problem`, without its name."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(place, problem)
        self.problem = problem

    def __str__(self) -> str:
        return ": ".join(self.args)
