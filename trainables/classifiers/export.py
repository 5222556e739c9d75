"""A trained classifier as users serve it: raw images in, probabilities out, preprocessing inside."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional

from search_spaces.backbones import BACKBONES, Interpolation
from trainables.classifiers.classifiers import build_classifier
from trainables.own_code import own_error

__all__ = ["ServedClassifier", "check_own_export", "export_module"]


class ServedClassifier(nn.Module):
    """uint8 images (N, H, W, 3), RGB, of any height and width, to float32 probabilities (N, classes).

    They are resized to `image_size` px as the training images were.
    """

    def __init__(self, classifier: nn.Module, image_size: int, interpolation: Interpolation) -> None:
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


def export_module(classifier: nn.Module, image_size: int, interpolation: Interpolation) -> ServedClassifier:
    """A copy of `classifier` on the CPU, in eval mode, without gradients, for images in uint8.

    `torch.export.export` takes it with N, H and W dynamic. The weights are in torch's plain memory layout:
    saving a program with any other warns.
    """
    plain = copy.deepcopy(classifier).cpu().to(memory_format=torch.contiguous_format)
    return ServedClassifier(plain, image_size, interpolation).eval().requires_grad_(False)


def check_own_export(backbone: str, image_size: int) -> None:
    """Raise OwnCodeError now where a model of an own backbone could not be exported after the search.

    The backbones of the table can be, which the tests show.
    """
    if backbone in BACKBONES:
        return
    model = build_classifier(backbone, classes=2, weights="random", image_size=image_size, seed=0)
    example = torch.zeros(2, image_size, image_size, 3, dtype=torch.uint8)
    try:
        program = torch.export.export(
            export_module(model, image_size, "bilinear"),
            (example,),
            dynamic_shapes=({0: Dim.AUTO, 1: Dim.AUTO, 2: Dim.AUTO},),
        )
    except Exception as error:  # torch.export raises whatever the user's code leads it to
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise own_error(backbone, "backbone", f"cannot be exported as pt2: {reason}") from error
    try:
        program.module()(torch.zeros(3, image_size + 1, image_size + 2, 3, dtype=torch.uint8))
    except Exception as error:
        rule = "must take any number of images once exported: tensor.shape[0] gives it, len(tensor) fixes it"
        raise own_error(backbone, "backbone", rule) from error
