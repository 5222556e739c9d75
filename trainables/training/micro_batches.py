"""A training step in micro-batches that fit the memory, with the result of one step over the whole batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from trainables.classifiers import Classifier
from trainables.devices.devices import get_random_state, set_random_state
from trainables.errors import DeviceMemoryError
from trainables.training.state import trained_buffers

__all__ = ["MicroBatches"]

Result = TypeVar("Result")


class MicroBatches:
    """Runs work over the rows of a batch: all at once, or in micro-batches if the memory is too small.

    Each time that torch runs out of memory, the size halves for good, down to 1; gradients, statistics and random
    numbers go back to where the batch began, and the batch is repeated. If each micro-batch's loss is weighted by its
    part of the batch, the gradients add up to those of the whole batch, up to rounding. Two things differ: a thawed
    BatchNorm normalizes each micro-batch by itself (and needs more than one value per channel), and dropout on a GPU
    draws other masks.

    Args:
        model: borrowed, on its device.
        trained: those of its parameters that are trained.
        device: device of the model.
        size: most images at once; None: the whole batch.
        halves: False if the size may not change, since other processes take part in each micro-batch.
    """

    def __init__(
        self,
        model: Classifier,
        trained: Sequence[nn.Parameter],
        device: torch.device,
        size: int | None = None,
        *,
        halves: bool = True,
    ) -> None:
        self.device, self._halves = device, halves
        self.size = size
        self._trained = trained
        # Listed once: going through all modules at each step would take as long as a small head's steps.
        self._buffers = [buffer for _, buffer in trained_buffers(model)]

    def run(self, images: int, work: Callable[[slice], Result]) -> list[Result]:
        """Return the results of `work` for each micro-batch of `images` rows, in order.

        Raises:
            DeviceMemoryError: the memory is too small for one image.
        """
        buffers = [buffer.clone() for buffer in self._buffers]
        numbers, gradients = get_random_state(self.device), self._gradients()
        while True:
            try:
                return [work(rows) for rows in self._slices(images)]
            except torch.OutOfMemoryError as error:
                self._halve(images, error)
            # Outside the handler: the error holds the tensors of the failed attempt.
            self._restore(buffers, numbers)
            for parameter, gradient in gradients:
                parameter.grad = None if gradient is None else gradient.clone()

    def _gradients(self) -> list[tuple[nn.Parameter, Tensor | None]]:
        """Copy the gradients to which the batch's gradients are added; none in evaluation."""
        if not torch.is_grad_enabled():
            return []
        return [(weight, None if weight.grad is None else weight.grad.clone()) for weight in self._trained]

    def _slices(self, images: int) -> Iterator[slice]:
        size = min(self.size or images, images)
        return (slice(start, min(start + size, images)) for start in range(0, images, size))

    def _halve(self, images: int, error: torch.OutOfMemoryError) -> None:
        size = min(self.size or images, images)
        reason = str(error).splitlines()[0]
        if not self._halves:
            raise DeviceMemoryError(
                f"{self.device} has too little memory for {images} images, its part of a batch: take more GPUs a trial "
                f"(resources.gpu), or a smaller batch_size ({reason})"
            ) from None
        if size == 1:
            raise DeviceMemoryError(
                f"{self.device} has too little memory for one image at a time: take a smaller backbone or "
                f"image_size, or freeze more ({reason})"
            ) from None
        self.size = size // 2

    def _restore(self, buffers: list[Tensor], numbers: list[Tensor]) -> None:
        for buffer, before in zip(self._buffers, buffers, strict=True):
            buffer.copy_(before)
        set_random_state(self.device, numbers)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
