"""Classifiers: a pretrained backbone, cut into stages, with a new head."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from search_spaces.backbones import BACKBONES, BackboneInfo
from search_spaces.errors import MeltpointError
from search_spaces.records import Dropout, Head
from trainables.architectures import Cut, check_image_size, describe_own_backbone, find_architecture
from trainables.classifiers.heads import build_head
from trainables.classifiers.pools import build_pool
from trainables.classifiers.stochastic_depth import drop_paths
from trainables.devices.devices import CPU, seeded
from trainables.weights.weights import load_weights

__all__ = ["Body", "Classifier", "build_classifier", "check_pool", "load_body"]

_BODIES_KEPT = 2

_OWN_SIZE = 224


class Body(nn.Module):
    """A backbone without a classifier: stages from the image to the features, then pooling to one vector.

    Args:
        cut: the backbone's stages and pool.
        mean: means of R, G and B in 0..1 with which the weights were trained.
        std: standard deviations of R, G and B in 0..1 with which the weights were trained.
    """

    def __init__(
        self,
        cut: Cut,
        *,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        super().__init__()
        self.stages = nn.Sequential(*cut.stages)
        self.pool = nn.Sequential(cut.pool, nn.Flatten())
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def normalize(self, images: Tensor) -> Tensor:
        """Take images (B, 3, H, W), uint8 or float in 0..255, and return them as the first stage takes them."""
        return (images.float() / 255 - self.mean) / self.std


class Classifier(Body):
    """Stages from the image to the features, then pool and head.

    `freeze(depth)` sets the boundary between `prefix` (frozen) and `suffix` (trained); `forward` runs both. The pool
    has no parameters: if all stages are frozen, the backbone's own pool belongs to the prefix. The head is not frozen.

    Args:
        cut: stages and pool.
        head: module from features (B, F) to logits (B, classes).
        mean: as in `Body`.
        std: as in `Body`.
        own_pool: True if the pool of `cut` is the backbone's own.
        shared: number of first stages that other classifiers use too; they are frozen, and stay frozen.
    """

    def __init__(
        self,
        cut: Cut,
        *,
        head: nn.Module,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        own_pool: bool = True,
        shared: int = 0,
    ) -> None:
        super().__init__(cut, mean=mean, std=std)
        self.head = head
        self._own_pool = own_pool
        self._shared = shared
        self.freeze_depth = shared
        self.freeze(shared)

    def freeze(self, depth: int) -> None:
        """Freeze the first `depth` stages: they get no gradients and stay in eval mode, also after `train()`.

        Their BatchNorm statistics therefore stay unchanged.

        Raises:
            ValueError: `depth` is above the number of stages, or below the number of shared stages.
        """
        if not self._shared <= depth <= len(self.stages):
            raise ValueError(f"freeze depth must be {self._shared}..{len(self.stages)} ({depth})")
        self.freeze_depth = depth
        for number, stage in enumerate(self.stages):
            if number >= self._shared:
                stage.requires_grad_(number >= depth)
        self.train(self.training)

    def unfrozen(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the stages behind the boundary, then the head, with their names: everything that training changes.

        A loop over these is much quicker than a loop over hundreds of frozen modules too.
        """
        for number, stage in enumerate(self.stages):
            if number >= self.freeze_depth:
                yield f"stages.{number}", stage
        yield "head", self.head

    def place_suffix(self, device: torch.device) -> Classifier:
        """Move everything but the frozen stages to `device`, in the memory layout that is quickest for maps."""
        for _, module in self.unfrozen():
            module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # takes both
        self.mean, self.std = self.mean.to(device), self.std.to(device)
        return self

    def train(self, mode: bool = True) -> Classifier:
        """Set training mode for the head and the stages behind the boundary only.

        Frozen stages in eval mode are skipped: a loop over their hundreds of modules takes longer than an epoch of a
        small head.
        """
        self.training = self.stages.training = mode
        for number, stage in enumerate(self.stages):
            if number >= self.freeze_depth:
                stage.train(mode)
            elif stage.training:
                stage.eval()
        self.pool.train(mode and not self.pooled_in_prefix)
        self.head.train(mode)
        return self

    @property
    def pooled_in_prefix(self) -> bool:
        """True if `prefix` gives one vector for each image: all stages are frozen, and the pool is the backbone's."""
        return self._own_pool and self.freeze_depth == len(self.stages)

    def prefix(self, images: Tensor) -> Tensor:
        """Take images (B, 3, H, W), uint8 or float in 0..255; return the activations at the freeze boundary."""
        features = self.normalize(images)
        for stage in islice(self.stages, self.freeze_depth):
            features = stage(features)
        if self.pooled_in_prefix:
            features = self.pool(features)
        return features

    def suffix(self, features: Tensor) -> Tensor:
        """Take activations from `prefix`, and return logits (B, classes)."""
        for stage in islice(self.stages, self.freeze_depth, None):
            features = stage(features)
        if not self.pooled_in_prefix:
            features = self.pool(features)
        logits: Tensor = self.head(features)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Take images (B, 3, H, W), uint8 or float in 0..255, and return logits (B, classes)."""
        return self.suffix(self.prefix(images))


def build_classifier(
    backbone: str,
    *,
    classes: int,
    weights: str = "pretrained",
    head: Head | None = None,
    dropout: Dropout | None = None,
    image_size: int | None = None,
    freeze_depth: int = 0,
    seed: int,
) -> Classifier:
    """Build a classifier whose head, and random weights, depend on `seed` alone.

    Torch's global generator keeps its state.

    Args:
        backbone: the backbone's name.
        classes: number of classes.
        weights: `pretrained`, `random` or a file, as `load_weights` takes it.
        head: the recipe's head; by default one linear layer.
        dropout: the recipe's dropout; by default none.
        image_size: height and width in pixels of the images to come; by default the backbone's native size. Position
            embeddings are interpolated to another size.
        freeze_depth: number of first stages that are frozen, and shared with other classifiers of this process.
        seed: of the head and of random weights.

    Raises:
        MeltpointError: the backbone is unknown, or does not support the image size, the pool or stochastic depth.
        OwnCodeError: the user's own backbone cannot be used.
        WeightsError: the weights are missing or do not fit.
    """
    head, dropout = head or Head(), dropout or Dropout()
    body = load_body(backbone, weights=weights, image_size=image_size, seed=seed)
    info = _info(backbone, image_size)
    stages = tuple(
        cast(nn.Sequential, stage if number < freeze_depth else copy.deepcopy(stage))
        for number, stage in enumerate(body.stages)
    )
    if dropout.drop_path:
        drop_paths(stages, dropout.drop_path, backbone=backbone, first=freeze_depth)
    check_pool(backbone, head, image_size)
    pool = build_pool(head)
    with seeded(CPU, seed):
        return Classifier(
            Cut(stages=stages, pool=copy.deepcopy(body.pool[0]) if pool is None else pool),
            head=build_head(info.features, classes, head=head, dropout=dropout),
            mean=info.mean,
            std=info.std,
            own_pool=pool is None,
            shared=freeze_depth,
        )


def load_body(backbone: str, *, weights: str, image_size: int | None, seed: int) -> Body:
    """Return the backbone with its starting weights, kept for later trials: never train or change it.

    `seed` affects random weights only. Errors are those of `build_classifier`.
    """
    if image_size is not None:
        check_image_size(backbone, image_size)
    return _body(backbone, weights, image_size, seed if weights == "random" else 0, _file_stamp(weights))


def check_pool(backbone: str, head: Head, image_size: int | None) -> None:
    """Raise MeltpointError if the pool needs feature maps and the backbone gives none."""
    if head.pool != "backbone" and not _info(backbone, image_size).map_size:
        raise MeltpointError(f"{backbone}: head.pool {head.pool} needs feature maps, and its last stage gives none")


@lru_cache(maxsize=_BODIES_KEPT)
def _body(backbone: str, weights: str, image_size: int | None, seed: int, _stamp: object) -> Body:
    """Build the body once for each set of arguments; `_stamp` differs after the weights' file changed."""
    arch = find_architecture(backbone)
    info = _info(backbone, image_size)
    tensors = None if weights == "random" else load_weights(backbone, weights)
    with seeded(CPU, seed):
        model = arch.build()
        if tensors is not None:
            model.load_state_dict(tensors)
        if image_size is not None and image_size != info.input_size:
            arch.resize(model, image_size)
        cut = arch.cut(model)
    body = Body(cut, mean=info.mean, std=info.std)
    return body.eval().requires_grad_(False)


def _info(backbone: str, image_size: int | None) -> BackboneInfo:
    return BACKBONES[backbone] if backbone in BACKBONES else describe_own_backbone(backbone, image_size or _OWN_SIZE)


def _file_stamp(weights: str) -> object:
    try:
        status = Path(weights.partition("#")[0]).stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
