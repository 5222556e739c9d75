"""Errors of preparing, training and saving one trial: a single line each, with one root."""

from __future__ import annotations

from search_spaces.errors import MeltpointError

__all__ = [
    "CheckpointError",
    "DataError",
    "DeviceError",
    "DeviceMemoryError",
    "DivergedError",
    "ExportError",
    "NodeError",
    "OwnCodeError",
    "StoreError",
    "WeightsError",
]


class DataError(MeltpointError):
    """The images, labels or splits cannot be used."""


class NodeError(MeltpointError):
    """A node lacks what every trial of a sweep needs: images, own code or room. Other nodes may have it."""


class WeightsError(MeltpointError):
    """A backbone's weights are missing or damaged, or do not fit."""


class CheckpointError(MeltpointError):
    """A checkpoint is missing, torn, altered or belongs to another recipe."""


class StoreError(MeltpointError):
    """A store of checkpoints refuses, is full, or cannot be reached; another attempt may succeed."""


class DivergedError(MeltpointError):
    """The loss or a prediction is NaN or infinite."""


class DeviceMemoryError(MeltpointError):
    """A device's memory is too small for a training step with one image."""


class DeviceError(MeltpointError):
    """This machine does not have the requested device, or the device lacks the precision."""


class ExportError(MeltpointError):
    """A model cannot be written in another form."""


class OwnCodeError(MeltpointError):
    """Own code is missing, raises an error, or returns a wrong result; `problem` is the message without the name."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(place, problem)
        self.problem = problem

    def __str__(self) -> str:
        return ": ".join(self.args)
