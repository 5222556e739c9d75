"""A trained classifier as users serve it: raw images in, probabilities out, preprocessing inside."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.backbones import Interpolation
from trainables.backbones import Classifier

__all__ = ["ServedClassifier", "export_module"]


class ServedClassifier(nn.Module):
    """uint8 images (N, H, W, 3), RGB, of any height and width, to float32 probabilities (N, classes).

    They are resized to `image_size` px as the training images were.
    """

    def __init__(self, classifier: Classifier, image_size: int, interpolation: Interpolation) -> None:
        super().__init__()
        self.classifier = classifier
        self.image_size = image_size
        self.interpolation: Interpolation = interpolation

    def forward(self, images: Tensor) -> Tensor:
        # The operation behind torchvision's resize, which the training images went through. Called directly:
        # torchvision branches on whether the size is already right, and that would fix H and W in a graph.
        resized = functional.interpolate(
            images.permute(0, 3, 1, 2),
            size=[self.image_size, self.image_size],
            mode=self.interpolation,
            align_corners=False,
            antialias=True,
        )
        return torch.softmax(self.classifier(resized), dim=1)


def export_module(classifier: Classifier, image_size: int, interpolation: Interpolation) -> ServedClassifier:
    """A copy of `classifier` on the CPU, in eval mode, without gradients, for images in uint8.

    `torch.export.export` takes it with N, H and W dynamic. The weights are in torch's plain memory layout:
    saving a program with any other warns.
    """
    plain = copy.deepcopy(classifier).cpu().to(memory_format=torch.contiguous_format)
    return ServedClassifier(plain, image_size, interpolation).eval().requires_grad_(False)
