"""Helpers: the torch and MLflow parts of a sweep, in processes of their own or in this one.

The process that drives a sweep loads neither torch nor MLflow. It calls the helpers through the protocols below, which
import nothing heavy.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from search_spaces import SweepSpec
from service.clusters import Allotment
from service.clusters.placements import ClusterNode
from service.ledgers import Json, Trial
from service.logs import is_debug_enabled
from service.runs.image_sets import ImageSets
from service.settings import Home
from trainables.devices import Gpu
from trainables.processes import ForkedObject, LocalObject, ObjectHandle

__all__ = ["Helpers", "MlflowTasks", "TorchTasks"]

T = TypeVar("T")


class TorchTasks(Protocol):
    """The parts of a sweep that need torch, beside its trials. Thread safety: one call at a time."""

    def admit(self, store: str | None) -> None:
        """Check what can be checked before an image is decoded; store: place of checkpoints, None for the home.

        Raises:
            StoreError: the store cannot be written and read.
            OwnCodeError, DataError: own code or the data do not fit the sweep.
        """

    def share_out(
        self, cpus: float, gpus: float, listed: Sequence[Gpu], nodes: Sequence[ClusterNode] | None = None
    ) -> Allotment:
        """Return how many trials run at once, and on what; listed: GPUs of the workers, if they are known.

        nodes: of a cluster, as it is now; None for a machine alone.

        Raises:
            ResourcesError: the machine does not have what a trial asks for.
        """

    def check(self, device: str) -> list[str]:
        """Check the weights and number formats of all trials on `device`; return cautions about slow formats.

        Raises:
            DeviceError, WeightsError, MeltpointError: a trial on `device` would raise it.
        """

    def prepare(self, progress: Callable[[int, int], None]) -> ImageSets:
        """Decode the admitted images, or find them decoded; progress: called with images done and in all.

        Raises:
            DataError: an image or the splits cannot be used.
        """

    def measure_models(self, progress: Callable[[int, int], None]) -> Json:
        """Return the costs of every model that a trial can have, as `ModelCosts.as_json`; images must be prepared.

        progress: called with models measured and in all.

        Raises:
            OwnCodeError: the user's own backbone fails.
        """

    def load(self, best: Trial, sharing: Json) -> None:
        """Load the model of a trial as its best epoch left it.

        Raises:
            CheckpointError: its checkpoint is gone or damaged.
            StoreError: its store cannot be reached.
        """

    def predict(self, split: str) -> Json | None:
        """Return the loaded model's predictions on a split's images, as `pack` packs them; None if there are no images.

        The result has the epoch of the model, the number of images, the packed predictions, the time of the reading
        (UTC milliseconds since 1970) and the metrics.

        Raises:
            DivergedError: a metric is not finite.
            OwnCodeError: the user's own metric fails.
        """


class MlflowTasks(Protocol):
    """The sender of a sweep. Thread safety: one call at a time."""

    def start(self, sweep_id: str) -> None:
        """Begin to send the sweep's messages."""

    def finish(self, patience: float) -> str | None:
        """Send what is left, as `Sender.finish`; return MLflow's last error if it has not taken everything."""


def _make_torch_helper(spec: SweepSpec, home: Home, *, debug: bool | None) -> TorchTasks:
    """Make the helper; debug: given in a process of its own, which logs by itself and takes one core."""
    from service.runs.torch_helper import TorchHelper, configure_process

    if debug is not None:
        configure_process(debug=debug)
    return TorchHelper(spec, home)


def _make_mlflow_helper(home: Home, *, debug: bool | None) -> MlflowTasks:
    """Make the helper; debug: see `_make_torch_helper`."""
    from service.runs.mlflow_helper import MlflowHelper
    from service.runs.torch_helper import configure_process

    if debug is not None:
        configure_process(debug=debug)
    return MlflowHelper(home, lower_priority=debug is not None)


class Helpers:
    """Creates helpers; `close` ends their processes.

    fork_server: address of the server that forks their processes; None to have helpers in this process, which then
        loads what they need.
    """

    def __init__(self, fork_server: str | None) -> None:
        self._fork_server = fork_server
        self._forked: list[ForkedObject[Any]] = []

    def torch_helper(self, spec: SweepSpec, home: Home) -> ObjectHandle[TorchTasks]:
        """Create the helper for a sweep's torch parts."""
        return self._create("helper", _make_torch_helper, spec=spec, home=home)

    def mlflow_helper(self, home: Home) -> ObjectHandle[MlflowTasks]:
        """Create a sender."""
        return self._create("sender", _make_mlflow_helper, home=home)

    def close(self) -> None:
        """End the helpers' processes."""
        for forked in self._forked:
            forked.close()

    def _create(self, role: str, factory: Callable[..., T], **arguments: Any) -> ObjectHandle[T]:
        """Create a helper; its process has this one's environment and working folder."""
        if self._fork_server is None:
            return LocalObject(factory(**arguments, debug=None))
        forked = ForkedObject(
            self._fork_server,
            factory,
            arguments | {"debug": is_debug_enabled()},
            role=role,
            environment=os.environ,
            folder=str(Path.cwd()),
        )
        self._forked.append(forked)
        return forked
