"""Costs of one image on this machine, by a short measurement: decoding, a view, each stage, each training step.

The costs answer two questions: how long does a sweep take, and does it pay to keep the activations of the frozen
stages, which then are computed once instead of in every epoch?
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainables.augmentations import draw_views
from trainables.classifiers import build_classifier
from trainables.datasets import ImageSource
from trainables.datasets.images import decode_image, quiet_decoding
from trainables.devices.devices import CPU
from trainables.devices.peaks import measure_resident_bytes
from trainables.devices.threads import one_thread
from trainables.errors import DataError
from trainables.measurements.probes import Probe
from trainables.stores.streams import pixel_digest

__all__ = ["DataCosts", "StageCosts", "measure_data", "measure_stages"]

_MOST_DEPTHS = 6
_VIEWS = 4

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class DataCosts:
    """Seconds per image, on one thread: of decoding, and of drawing one view by augmentation policy."""

    decode: float
    views: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class StageCosts:
    """Costs of one image in each part of one backbone's training, in seconds of wall time and in bytes.

    Attributes:
        backbone: name of the backbone.
        image_size: width and height in pixels.
        precision: precision of the measurement.
        device: `cpu` or `cuda`.
        threads: threads of torch.
        batch: images at once during the measurement.
        entry: seconds of scaling the pixels.
        forward: seconds of each stage in turn, without gradients.
        head: seconds of pool and classifier.
        steps: freeze depth -> seconds of forward and backward behind it, without the frozen stages.
        updates: freeze depth -> seconds of the optimizer in each step, whatever the batch.
        boundaries: bytes of the input of stage 0, 1, ..., and of the head.
        built: bytes by which memory grew when the model was built.
        peaks: freeze depth -> bytes by which memory grew at the highest point of a step.
        states: freeze depth -> those of these bytes that gradients and optimizer take, whatever the batch.
        build: seconds until a model is ready to train.
    """

    backbone: str
    image_size: int
    precision: str
    device: str
    threads: int
    batch: int
    entry: float
    forward: tuple[float, ...]
    head: float
    steps: Mapping[int, float]
    updates: Mapping[int, float]
    boundaries: tuple[int, ...]
    built: int
    peaks: Mapping[int, int]
    states: Mapping[int, int]
    build: float

    def prefix_seconds(self, depth: int) -> float:
        """Return the seconds per image of the first `depth` stages, which each read of a kept activation saves."""
        return self.entry + sum(self.forward[:depth])

    def step_seconds(self, depth: int, batch_size: int) -> float:
        """Return the seconds per image of a training step behind `depth` frozen stages, without these stages."""
        return self._interpolate(self.steps, depth) + self._interpolate(self.updates, depth) / batch_size

    def training_seconds(self, depth: int, batch_size: int) -> float:
        """Return the seconds per image of training, frozen stages included."""
        return self.prefix_seconds(depth) + self.step_seconds(depth, batch_size)

    def evaluation_seconds(self) -> float:
        """Return the seconds per image from pixels to class probabilities."""
        return self.prefix_seconds(len(self.forward)) + self.head

    def memory_bytes(self, depth: int, batch_size: int) -> int:
        """Return the most bytes that a trial's training takes, beside the process itself."""
        fixed = self.built + self._interpolate(self.states, depth)
        growth = max(0.0, self._interpolate(self.peaks, depth) - fixed)
        return int(fixed + growth * max(1.0, batch_size / self.batch))

    def _interpolate(self, measured: Mapping[int, float], depth: int) -> float:
        """Return the value at `depth`, interpolated by the seconds of the forward pass if it was not measured."""
        if depth in measured:
            return measured[depth]
        below = max((other for other in measured if other < depth), default=min(measured))
        above = min((other for other in measured if other > depth), default=max(measured))
        reach = self.prefix_seconds(above) - self.prefix_seconds(below)
        share = (self.prefix_seconds(depth) - self.prefix_seconds(below)) / reach if reach > 0 else 0.0
        return measured[below] + share * (measured[above] - measured[below])


def measure_data(
    sources: Sequence[ImageSource], size: int, policies: Iterable[str], *, seed: int = 0
) -> tuple[DataCosts, Images]:
    """Decode these few images and draw a view of each for every policy.

    Images that cannot be read are left out, as `prepare_data` leaves them out.

    Returns:
        The costs, and the images, uint8 (B, size, size, 3).

    Raises:
        DataError: no image can be read.
        OwnCodeError: a policy is own code, and fails.
    """
    with one_thread(), quiet_decoding():
        images, seconds = _decoded(sources, size)
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
        digests = np.array([pixel_digest(image) for image in images], dtype=np.uint64)
        views = {policy: _view_seconds(pixels, digests, policy, seed) for policy in policies}
    return DataCosts(decode=seconds, views=views), images


def _decoded(sources: Sequence[ImageSource], size: int) -> tuple[Images, float]:
    images, times, failures = [], [], []
    for source in sources:
        started = time.perf_counter()
        try:
            images.append(decode_image(source, size))
        except DataError as error:
            failures.append(error)
        else:
            times.append(time.perf_counter() - started)
    if not images:
        raise failures[0]
    return np.stack(images), statistics.median(times)


def _view_seconds(images: Tensor, digests: npt.NDArray[np.uint64], policy: str, seed: int) -> float:
    times = []
    for view in range(_VIEWS):
        started = time.perf_counter()
        draw_views(images, digests, seed=seed, policy=policy, view=view)
        times.append(time.perf_counter() - started)
    return statistics.median(times) / len(images)


def measure_stages(
    backbone: str,
    images: Images,
    *,
    depths: Iterable[int],
    weights: str = "random",
    classes: int = 2,
    precision: str = "fp32",
    device: torch.device | None = None,
    seconds: float = 3.0,
) -> StageCosts:
    """Build the backbone and time it on `images`, uint8 (B, H, W, 3), in about `seconds` after the first pass.

    Fewer images are used at once if all of them would take longer. At most 6 of `depths` are measured: the deepest, the
    shallowest and some between. Torch's global generator is left as it was.

    Raises:
        MeltpointError: the backbone does not take images of this size.
        WeightsError: the weights cannot be loaded.
    """
    place = device or CPU
    resident = measure_resident_bytes(place)
    started = time.perf_counter()
    model = build_classifier(backbone, classes=classes, weights=weights, image_size=int(images.shape[1]), seed=0)
    probe = Probe(model=model.to(place).to(memory_format=torch.channels_last), device=place, precision=precision)
    build = time.perf_counter() - started
    built = max(0, measure_resident_bytes(place) - resident)
    chosen = _spread(depths)
    part = seconds / (1 + 3 * len(chosen))
    pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).to(place)
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
        pixels = pixels[: probe.count_affordable(pixels, 3 * part)]
        passes = probe.time_forward(pixels, part)
        trained = {depth: probe.time_training(pixels, depth, 3 * part) for depth in reversed(chosen)}
    return StageCosts(
        backbone=backbone,
        image_size=int(images.shape[1]),
        precision=precision,
        device=place.type,
        threads=torch.get_num_threads(),
        batch=len(pixels),
        entry=passes.entry,
        forward=passes.stages,
        head=passes.head,
        steps={depth: times.image for depth, times in trained.items()},
        updates={depth: times.update for depth, times in trained.items()},
        boundaries=passes.boundaries,
        built=built,
        peaks={depth: max(0, times.peak - resident) for depth, times in trained.items()},
        states={depth: times.states for depth, times in trained.items()},
        build=build,
    )


def _spread(depths: Iterable[int]) -> list[int]:
    """Return at most `_MOST_DEPTHS` of the depths, evenly spread."""
    unique = sorted(set(depths))
    if len(unique) <= _MOST_DEPTHS:
        return unique
    return [unique[round(position)] for position in np.linspace(0, len(unique) - 1, _MOST_DEPTHS)]
