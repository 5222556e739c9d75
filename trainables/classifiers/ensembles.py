"""Ensembles: several classifiers whose probabilities are averaged."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainables.classifiers.classifiers import Classifier

__all__ = ["Ensemble"]


class Ensemble(nn.Module):
    """The mean of several classifiers' probabilities (Huang et al. 2017, section 3)."""

    def __init__(self, members: Sequence[Classifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Take images (B, 3, H, W); return logits (B, classes), the logarithms of the mean probabilities."""
        logs = torch.stack([torch.log_softmax(member(images), dim=1) for member in self.members])
        return torch.logsumexp(logs, dim=0) - math.log(len(self.members))
