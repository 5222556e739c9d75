"""How each known backbone is built and cut into its ordered stages, from the image to the features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import timm
from torch import nn
from torchvision.models import resnet18

from search_spaces.backbones import BACKBONES
from search_spaces.errors import MeltpointError

__all__ = ["ARCHITECTURES", "Architecture", "architecture"]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A backbone without its classifier head.

    `build` draws fresh weights from torch's global generator. `cut` shares the modules it is given: the
    stages one after another compute the backbone's own feature map (B, `features`, H', W').
    `head` are the tensors that weight files hold for the classifier we replace, in the library's names.
    """

    build: Callable[[], nn.Module]
    cut: Callable[[nn.Module], list[nn.Sequential]]
    features: int
    head: tuple[str, ...]


def _build_lite0() -> nn.Module:
    model: nn.Module = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    return model


def _cut_efficientnet(model: nn.Module) -> list[nn.Sequential]:
    part = dict(model.named_children())
    stem = nn.Sequential(part["conv_stem"], part["bn1"])
    blocks = [nn.Sequential(*block.children()) for block in part["blocks"].children()]
    return [stem, *blocks, nn.Sequential(part["conv_head"], part["bn2"])]


def _build_resnet18() -> nn.Module:
    model: nn.Module = resnet18(weights=None)
    model.fc = nn.Identity()
    return model


def _cut_resnet(model: nn.Module) -> list[nn.Sequential]:
    part = dict(model.named_children())
    stem = nn.Sequential(part["conv1"], part["bn1"], part["relu"], part["maxpool"])
    layers = [nn.Sequential(*part[name].children()) for name in ("layer1", "layer2", "layer3", "layer4")]
    return [stem, *layers]


ARCHITECTURES: dict[str, Architecture] = {
    "timm/tf_efficientnet_lite0": Architecture(
        build=_build_lite0,
        cut=_cut_efficientnet,
        features=1280,
        head=("classifier.weight", "classifier.bias"),
    ),
    "torchvision/resnet18": Architecture(
        build=_build_resnet18, cut=_cut_resnet, features=512, head=("fc.weight", "fc.bias")
    ),
}


def architecture(backbone: str) -> Architecture:
    """The table's entry. Raises MeltpointError listing the known names."""
    if backbone not in ARCHITECTURES:
        raise MeltpointError(f"backbone must be one of {', '.join(sorted(BACKBONES))} ({backbone!r})")
    return ARCHITECTURES[backbone]
