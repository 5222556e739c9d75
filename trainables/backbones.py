"""A pretrained backbone, cut into stages and given a new linear head."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

import torch
from torch import Tensor, nn

from search_spaces.backbones import BACKBONES
from trainables.architectures import architecture
from trainables.cuts import Cut
from trainables.image_sizes import check_image_size
from trainables.own_features import own_info
from trainables.weights import load_weights

__all__ = ["Classifier", "build_classifier"]

_OWN_SIZE = 224


class Classifier(nn.Module):
    """Stages from the image to the features, then pool, dropout and one linear layer.

    `freeze(depth)` sets the boundary between `prefix` (frozen) and `suffix` (trained); `forward` is one after
    the other. The head is never frozen.
    """

    def __init__(
        self,
        cut: Cut,
        *,
        features: int,
        classes: int,
        dropout: float,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        super().__init__()
        self.stages = nn.Sequential(*cut.stages)
        self.head = nn.Sequential(
            OrderedDict(
                pool=cut.pool,
                flatten=nn.Flatten(),
                dropout=nn.Dropout(dropout),
                linear=nn.Linear(features, classes),
            )
        )
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.freeze_depth = 0

    def freeze(self, depth: int) -> None:
        """Freeze the first `depth` stages: no gradients, eval mode whatever `train()` says.

        So their BatchNorm statistics stay as they were. Raises ValueError outside 0..stages.
        """
        if not 0 <= depth <= len(self.stages):
            raise ValueError(f"freeze depth must be 0..{len(self.stages)} ({depth})")
        self.freeze_depth = depth
        for number, stage in enumerate(self.stages):
            stage.requires_grad_(number >= depth)
        self.train(self.training)

    def train(self, mode: bool = True) -> Classifier:
        """Training mode for the head and the stages behind the boundary only."""
        super().train(mode)
        for stage in islice(self.stages, self.freeze_depth):
            stage.eval()
        return self

    def prefix(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W), uint8 or float in 0..255, to what the last frozen stage gives."""
        features = (images.float() / 255 - self.mean) / self.std
        for stage in islice(self.stages, self.freeze_depth):
            features = stage(features)
        return features

    def suffix(self, features: Tensor) -> Tensor:
        """What `prefix` gave, to logits (B, classes)."""
        for stage in islice(self.stages, self.freeze_depth, None):
            features = stage(features)
        logits: Tensor = self.head(features)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W), uint8 or float in 0..255, to logits (B, classes)."""
        return self.suffix(self.prefix(images))


def build_classifier(
    backbone: str,
    *,
    classes: int,
    weights: str = "pretrained",
    dropout: float = 0.0,
    image_size: int | None = None,
    seed: int,
) -> Classifier:
    """A classifier whose head, and random weights if asked for, depend on `seed` alone.

    image_size: height and width (px) of the images to come, by default those the backbone was trained on. Where
    its weights hold positions of patches, they are interpolated to it.

    Torch's global generator is left as it was. Raises MeltpointError for an unknown backbone or a size that it
    does not take, and WeightsError for weights that are missing or do not fit.
    """
    arch = architecture(backbone)
    if image_size is not None:
        check_image_size(backbone, image_size)
    info = BACKBONES[backbone] if backbone in BACKBONES else own_info(backbone, image_size or _OWN_SIZE)
    tensors = None if weights == "random" else load_weights(backbone, weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = arch.build()
        if tensors is not None:
            model.load_state_dict(tensors)
        if image_size is not None and image_size != info.input_size:
            arch.resize(model, image_size)
        torch.manual_seed(seed)
        return Classifier(
            arch.cut(model),
            features=info.features,
            classes=classes,
            dropout=dropout,
            mean=info.mean,
            std=info.std,
        )
