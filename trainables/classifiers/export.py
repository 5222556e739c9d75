"""Trained classifiers for serving: raw images in, probabilities out, preprocessing inside."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional

from search_spaces.backbones import BACKBONES, Interpolation
from trainables.classifiers.classifiers import build_classifier
from trainables.own_code import own_error

__all__ = ["CUT_OFF", "ServedClassifier", "check_own_export", "export_module"]

CUT_OFF = "every pixel is 0 or 1: send whole numbers from 0 to 255, since fractions such as 0.5 are cut off"
"""The error of a served model whose input is nothing but 0 and 1."""


class ServedClassifier(nn.Module):
    """A classifier with its preprocessing: images are resized to `image_size` pixels like the training images.

    refuses_fractions: whether images that are nothing but 0 and 1 are an error. MLflow's server turns pixels scaled to
    0..1 into such images, and would answer with probabilities for black photos.
    """

    def __init__(
        self,
        classifier: nn.Module,
        image_size: int,
        interpolation: Interpolation,
        *,
        refuses_fractions: bool = False,
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.image_size = image_size
        self.interpolation: Interpolation = interpolation
        self.refuses_fractions = refuses_fractions

    def forward(self, images: Tensor) -> Tensor:
        """Take uint8 RGB images (N, H, W, 3) of any size, and return float32 probabilities (N, classes)."""
        if self.refuses_fractions:
            # The check runs on the CPU: an assertion that fails on a GPU ends the process's use of that GPU.
            torch._assert((images > 1).any().cpu(), CUT_OFF)
        # This operation is inside torchvision's resize, which resized the training images. torchvision skips it
        # if the size is right already, and that branch would fix H and W in an exported graph.
        resized = functional.interpolate(
            images.permute(0, 3, 1, 2),
            size=[self.image_size, self.image_size],
            mode=self.interpolation,
            align_corners=False,
            antialias=True,
        )
        return torch.softmax(self.classifier(resized), dim=1)


def export_module(
    classifier: nn.Module, image_size: int, interpolation: Interpolation, *, refuses_fractions: bool = False
) -> ServedClassifier:
    """Return a copy of `classifier` for `torch.export.export`, with N, H and W dynamic.

    The copy is on the CPU, in eval mode, without gradients, and in torch's default memory layout: torch warns when a
    program with another layout is saved.
    """
    plain = copy.deepcopy(classifier).cpu().to(memory_format=torch.contiguous_format)
    served = ServedClassifier(plain, image_size, interpolation, refuses_fractions=refuses_fractions)
    return served.eval().requires_grad_(False)


def check_own_export(backbone: str, image_size: int) -> None:
    """Check before a search that a user's backbone can be exported; tests check the backbones of the table.

    Raises:
        OwnCodeError: it cannot be exported, or its graph takes only one number of images.
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
    except Exception as error:  # torch.export may raise anything for the user's code
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise own_error(backbone, "backbone", f"cannot be exported as pt2: {reason}") from error
    try:
        program.module()(torch.zeros(3, image_size + 1, image_size + 2, 3, dtype=torch.uint8))
    except Exception as error:
        rule = "must take any number of images once exported: tensor.shape[0] gives it, len(tensor) fixes it"
        raise own_error(backbone, "backbone", rule) from error
