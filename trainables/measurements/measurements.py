"""What an image costs on this machine, by a short measurement: decoding, a view, each stage, each training step.

The costs answer two questions: how long a sweep will take, and whether keeping what the frozen stages compute
pays, since `prefix` is then spent once instead of in every epoch.
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
    """Seconds an image, on one thread: of decoding it, and of one view of it by augmentation policy."""

    decode: float
    views: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class StageCosts:
    """What one image costs in each part of one backbone's training, in seconds of wall time and in bytes.

    threads: that torch computed with; batch: images at once while measuring.
    entry: scaling pixels; forward: each stage in turn, without gradients; head: pool and classifier.
    steps: freeze depth -> forward and backward behind it, given what the prefix computed; updates: freeze depth ->
        seconds of the optimizer in each step, whatever the batch.
    boundaries: bytes of what enters stage 0, 1, ..., and at the end the head, as it would have to be kept.
    built, peaks: bytes by which memory grew when the model was built, and (freeze depth ->) at the height of a step;
        states: freeze depth -> those of them that gradients and the optimizer take, whatever the batch.
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

    def prefix(self, depth: int) -> float:
        """Seconds an image in the first `depth` stages: what a kept activation saves, each time it is read."""
        return self.entry + sum(self.forward[:depth])

    def step(self, depth: int, batch_size: int) -> float:
        """Seconds an image in a training step behind `depth` frozen stages, given what they computed."""
        return self._between(self.steps, depth) + self._between(self.updates, depth) / batch_size

    def training(self, depth: int, batch_size: int) -> float:
        """Seconds an image in training, the frozen stages computed too."""
        return self.prefix(depth) + self.step(depth, batch_size)

    def evaluation(self) -> float:
        """Seconds an image from pixels to class probabilities."""
        return self.prefix(len(self.forward)) + self.head

    def memory(self, depth: int, batch_size: int) -> int:
        """Bytes that a trial's training holds at its highest, beside the process itself."""
        fixed = self.built + self._between(self.states, depth)
        growth = max(0.0, self._between(self.peaks, depth) - fixed)
        return int(fixed + growth * max(1.0, batch_size / self.batch))

    def _between(self, known: Mapping[int, float], depth: int) -> float:
        """The value at `depth`, measured, or in between by how much of the forward pass lies behind it."""
        if depth in known:
            return known[depth]
        below = max((one for one in known if one < depth), default=min(known))
        above = min((one for one in known if one > depth), default=max(known))
        reach = self.prefix(above) - self.prefix(below)
        share = (self.prefix(depth) - self.prefix(below)) / reach if reach > 0 else 0.0
        return known[below] + share * (known[above] - known[below])


def measure_data(
    sources: Sequence[ImageSource], size: int, policies: Iterable[str], *, seed: int = 0
) -> tuple[DataCosts, Images]:
    """Decode these few images and draw a view of each for every policy; also returns them, uint8 (B, size, size, 3).

    Images that cannot be read are left out, as `prepare_data` would. Raises DataError where none can, and OwnCodeError
    where a policy is the user's own and fails.
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

    Fewer images are taken at once where so many would take longer than that. Of more than six depths the
    deepest, the shallowest and some between are measured. Torch's global generator is left as it was.
    Raises MeltpointError and WeightsError as build_classifier does.
    """
    place = device or CPU
    resident = measure_resident_bytes(place)
    started = time.perf_counter()
    model = build_classifier(backbone, classes=classes, weights=weights, image_size=int(images.shape[1]), seed=0)
    probe = Probe(model=model.to(place).to(memory_format=torch.channels_last), device=place, precision=precision)
    build = time.perf_counter() - started
    built = max(0, measure_resident_bytes(place) - resident)
    chosen = _few(depths)
    part = seconds / (1 + 3 * len(chosen))
    pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).to(place)
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
        pixels = pixels[: probe.affordable(pixels, 3 * part)]
        passes = probe.forward(pixels, part)
        trained = {depth: probe.training(pixels, depth, 3 * part) for depth in reversed(chosen)}
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


def _few(depths: Iterable[int]) -> list[int]:
    known = sorted(set(depths))
    if len(known) <= _MOST_DEPTHS:
        return known
    return [known[round(place)] for place in np.linspace(0, len(known) - 1, _MOST_DEPTHS)]
