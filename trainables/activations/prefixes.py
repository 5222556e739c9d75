"""The frozen part of a backbone as a function of pixels: built once per process, and the same in every trial."""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from trainables.activations.entries import Rows
from trainables.classifiers import Body, fold_norms, load_body
from trainables.devices.precision import autocast
from trainables.errors import DeviceMemoryError

__all__ = ["FrozenPrefix", "load_frozen_prefix"]

IMAGES_AT_ONCE = {"cpu": 16, "cuda": 128}
"""Images computed together, fixed for each kind of device: kernels round differently for other numbers of images.

On a CPU, few images stay within the cache of a core."""

_KEPT_IN_MEMORY = 2

_TIMED_PASSES = 2
_ENOUGH_TIMED_SECONDS = 0.5
"""Seconds of timed passes after which there is no further one: a large backbone is not measured twice."""


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Shape, type and memory layout of one image's activations at a boundary."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    channels_last: bool

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize


class FrozenPrefix:
    """Stages with their starting weights, BatchNorm folded in: from uint8 pixels to the activations of any boundary.

    An image's activations depend on its pixels alone, not on the images computed with it. They are kept as rows of
    bytes, in the layout in which they are computed.

    Args:
        body: stages and input scaling; copied.
        image_size: width and height in pixels.
        precision: see `trainables.devices.precision`.
        device: device to compute on.
        pooled: apply the backbone's own pool after all stages.

    Attributes:
        seconds: boundary -> seconds of one image up to that boundary, measured on a machine as if nothing else ran.
    """

    def __init__(
        self, body: Body, *, image_size: int, precision: str, device: torch.device, pooled: bool = True
    ) -> None:
        self._pooled = pooled
        self._precision, self._device = precision, device
        self._images = IMAGES_AT_ONCE[device.type]
        self._body = copy.deepcopy(body)
        noise = torch.randn(2, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
        self._body.stages = fold_norms(body.stages, noise.to(memory_format=torch.channels_last))
        self._body.to(device).to(memory_format=torch.channels_last)
        self._stages = self._body.stages
        self._layouts: dict[int, _Layout] = {}
        self.seconds: dict[int, float] = {}
        self._measure(image_size)
        self._digest = _digest(body, image_size, precision, device)

    @property
    def depth(self) -> int:
        """The deepest boundary: the number of stages."""
        return len(self._stages)

    @property
    def images_at_once(self) -> int:
        """Number of images computed together, whatever number a caller passes."""
        return self._images

    def digest(self, depth: int) -> str:
        """Return a digest of everything that decides the activations at a boundary.

        It covers weights and layers, image size, precision, the kind of device and the version of torch; at the deepest
        boundary also whether the activations are pooled.
        """
        return self._digest if self._pooled or depth < self.depth else f"{self._digest}-maps"

    def row_bytes(self, depth: int) -> int:
        """Return the bytes of one image's activations at boundary `depth`, 1 to all stages."""
        return self._layouts[depth].row_bytes

    def rows(self, images: Tensor, depths: Sequence[int]) -> dict[int, Rows]:
        """Compute activations of uint8 images (B, 3, H, W) at each of `depths`, as rows (B, row_bytes).

        Raises:
            DeviceMemoryError: the device has too little memory for one image.
        """
        rows: dict[int, list[Rows]] = {depth: [] for depth in depths}
        for count, computed in self._chunks(images, max(depths)):
            for depth in depths:
                rows[depth].append(self._pack(computed[depth][:count], depth))
        return {depth: np.concatenate(parts) for depth, parts in rows.items()}

    def compute(self, images: Tensor, depth: int) -> Tensor:
        """Compute activations (B, ...) at boundary `depth`, on the device, of images (B, 3, H, W) in 0..255."""
        parts = [computed[depth][:count] for count, computed in self._chunks(images, depth)]
        return self._in_layout(torch.cat(parts), depth)

    def unpack(self, rows: Rows, depth: int) -> Tensor:
        """Return rows (B, row_bytes) as the tensor that `compute` returns: the same bits in the same layout."""
        layout = self._layouts[depth]
        flat = torch.from_numpy(rows).view(layout.dtype)
        if not layout.channels_last:
            return flat.view(len(rows), *layout.shape).to(self._device)
        channels, height, width = layout.shape
        return flat.view(len(rows), height, width, channels).permute(0, 3, 1, 2).to(self._device)

    def _chunks(self, images: Tensor, deepest: int) -> Iterator[tuple[int, dict[int, Tensor]]]:
        """Compute the fixed number of images at a time; yield the number of images and each boundary's activations."""
        start = 0
        while start < len(images):
            chunk = images[start : start + self._images]
            try:
                computed = self._chunk(chunk, deepest)
            except torch.OutOfMemoryError as error:
                self._halve(error)
                continue
            yield len(chunk), computed
            start += len(chunk)

    def _in_layout(self, features: Tensor, depth: int) -> Tensor:
        last = self._layouts[depth].channels_last
        return features.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)

    def _chunk(self, images: Tensor, deepest: int) -> dict[int, Tensor]:
        """Compute every boundary's activations. Blank images fill the chunk up to the fixed number."""
        padded = images.new_zeros(self._images, *images.shape[1:]).to(memory_format=torch.channels_last)
        padded[: len(images)] = images
        activations: dict[int, Tensor] = {}
        with torch.no_grad(), autocast(self._precision, self._device):
            features = self._body.normalize(padded.to(self._device))
            for number, stage in enumerate(islice(self._stages, deepest), start=1):
                features = stage(features)
                activations[number] = features
            if deepest == self.depth and self._pooled:
                activations[deepest] = self._body.pool(features)
        return activations

    def _pack(self, features: Tensor, depth: int) -> Rows:
        ordered = features.permute(0, 2, 3, 1) if self._layouts[depth].channels_last else features
        rows: Rows = ordered.contiguous().cpu().view(len(features), -1).view(torch.uint8).numpy()
        return rows

    def _measure(self, image_size: int) -> None:
        """Measure the layout and the time of every boundary with a chunk of grey images.

        The time is that of the quicker of two passes: the first one also allocates memory and chooses kernels. On a
        CPU it is processor time if that is shorter, so that waiting for a busy machine does not count.
        """
        grey = torch.full((self._images, 3, image_size, image_size), 128, dtype=torch.uint8)
        spent = 0.0
        for _ in range(_TIMED_PASSES):
            seconds = self._time_pass(grey.to(memory_format=torch.channels_last, device=self._device))
            for number, each in seconds.items():
                self.seconds[number] = min(each / self._images, self.seconds.get(number, math.inf))
            spent += seconds[self.depth]
            if spent >= _ENOUGH_TIMED_SECONDS:
                break

    def _time_pass(self, images: Tensor) -> dict[int, float]:
        """Compute these images up to every boundary; note its layout, and return the seconds until it."""
        seconds: dict[int, float] = {}
        with torch.no_grad(), autocast(self._precision, self._device):
            features = self._body.normalize(images)
            started, used = time.perf_counter(), time.process_time()
            for number, stage in enumerate(self._stages, start=1):
                features = stage(features)
                _wait_for(self._device)
                seconds[number] = time.perf_counter() - started
                if self._device.type == "cpu":
                    seconds[number] = min(seconds[number], time.process_time() - used)
                self._layouts[number] = _layout(features)
            if self._pooled:
                self._layouts[self.depth] = _layout(self._body.pool(features))
        return seconds

    def _halve(self, error: torch.OutOfMemoryError) -> None:
        if self._images == 1:
            reason = str(error).splitlines()[0]
            raise DeviceMemoryError(
                f"{self._device} has too little memory for one image at a time: take a smaller backbone or "
                f"image_size ({reason})"
            ) from None
        self._images //= 2


def _layout(features: Tensor) -> _Layout:
    last = features.ndim == 4 and features.is_contiguous(memory_format=torch.channels_last)
    channels_last = last and not features.is_contiguous()
    return _Layout(shape=tuple(features.shape[1:]), dtype=features.dtype, channels_last=channels_last)


@lru_cache(maxsize=_KEPT_IN_MEMORY)
def load_frozen_prefix(
    backbone: str, weights: str, *, image_size: int, precision: str, device: torch.device, seed: int, pooled: bool
) -> FrozenPrefix:
    """Build the prefix with these starting weights, or return the one that an earlier trial built.

    seed: seed of random weights; pretrained weights do not depend on it.
    """
    body = load_body(backbone, weights=weights, image_size=image_size, seed=seed)
    return FrozenPrefix(body, image_size=image_size, precision=precision, device=device, pooled=pooled)


def _digest(body: Body, image_size: int, precision: str, device: torch.device) -> str:
    digest = hashlib.sha256()
    capability = torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else torch.cuda.get_device_name(device)
    facts = [torch.__version__, capability, precision, str(image_size), str(IMAGES_AT_ONCE[device.type]), repr(body)]
    digest.update("\n".join(facts).encode())
    for name, tensor in [*body.stages.state_dict().items(), ("mean", body.mean), ("std", body.std)]:
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:24]


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
