"""Cuts of torchvision's families into stages, and the names of their classifiers."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import Final, cast

import torch
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from trainables.architectures.cuts import Channels, Cut, FirstToken, PatchTokens, splice

__all__ = ["FAMILIES", "Family", "family_of", "resize_vit"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """Models of one design.

    Attributes:
        names: regular expression of the models' names.
        classifier: name of the last linear layer.
        cut: cuts a model, which no longer needs its classifier, into stages.
    """

    names: str
    classifier: str
    cut: Callable[[nn.Module], Cut]


def _part(model: nn.Module) -> dict[str, nn.Module]:
    return dict(model.named_children())


def _features(model: nn.Module) -> list[nn.Module]:
    return list(_part(model)["features"].children())


def _pooled(stages: list[nn.Sequential]) -> Cut:
    return Cut(stages=tuple(stages), pool=nn.AdaptiveAvgPool2d(1))


def _vectors(stages: list[nn.Sequential]) -> Cut:
    return Cut(stages=tuple(stages), pool=nn.Identity())


def _resnet(model: nn.Module) -> Cut:
    part = _part(model)
    stem = nn.Sequential(part["conv1"], part["bn1"], part["relu"], part["maxpool"])
    return _pooled([stem, *(splice([part[f"layer{number}"]]) for number in range(1, 5))])


def _efficientnet(model: nn.Module) -> Cut:
    return _pooled([splice([child]) for child in _features(model)])


def _mobilenet(model: nn.Module) -> Cut:
    """Cut into the stem, one stage for each width of the inverted residual blocks, and the head convolution."""
    stem, *blocks, last = _features(model)
    widths = groupby(blocks, key=lambda block: cast(int, block.out_channels))
    return _pooled([nn.Sequential(stem), *(nn.Sequential(*group) for _, group in widths), nn.Sequential(last)])


def _mobilenet_v3(model: nn.Module) -> Cut:
    """Cut as v2; the linear layer behind the pool, which is pretrained too, is one more stage."""
    maps = _mobilenet(model)
    linear, activation, *_ = _part(model)["classifier"].children()
    return _vectors([*maps.stages, nn.Sequential(maps.pool, nn.Flatten(), linear, activation)])


def _convnext(model: nn.Module) -> Cut:
    """Cut into the stem and each downsampling with its blocks; the norm behind the pool joins the last stage."""
    stem, first, *rest = _features(model)
    pairs = [splice(rest[start : start + 2]) for start in range(0, len(rest), 2)]
    norm = next(_part(model)["classifier"].children())
    pairs[-1].extend([nn.AdaptiveAvgPool2d(1), norm, nn.Flatten()])
    return _vectors([splice([stem]), splice([first]), *pairs])


def _densenet(model: nn.Module) -> Cut:
    """Cut into the stem and each dense block with its transition; the last one has the final norm and activation."""
    part = _part(_part(model)["features"])
    stem = nn.Sequential(part["conv0"], part["norm0"], part["relu0"], part["pool0"])
    blocks = [nn.Sequential(part[f"denseblock{n}"], part[f"transition{n}"]) for n in range(1, 4)]
    return _pooled([stem, *blocks, nn.Sequential(part["denseblock4"], part["norm5"], nn.ReLU(inplace=True))])


def _vgg(model: nn.Module) -> Cut:
    """Cut after each max-pooling; the two linear layers before the classifier are one more stage."""
    stages: list[nn.Sequential] = [nn.Sequential()]
    for module in _features(model):
        stages[-1].append(module)
        if isinstance(module, nn.MaxPool2d):
            stages.append(nn.Sequential())
    part = _part(model)
    hidden = list(part["classifier"].children())[:-2]  # without the last dropout and layer, which the new head replaces
    stages[-1] = nn.Sequential(part["avgpool"], nn.Flatten(), *hidden)
    return _vectors(stages)


def _regnet(model: nn.Module) -> Cut:
    part = _part(model)
    return _pooled([splice([part["stem"]]), *(splice([block]) for block in part["trunk_output"].children())])


def _vit(model: nn.Module) -> Cut:
    """Cut into patches (with class token and positions) and each layer; the final norm joins the last layer."""
    assert isinstance(model, VisionTransformer)
    encoder = model.encoder
    tokens = PatchTokens(model.conv_proj, model.class_token, encoder.pos_embedding, encoder.dropout)
    layers = [nn.Sequential(layer) for layer in encoder.layers.children()]
    layers[-1].extend([encoder.ln, FirstToken()])
    return _vectors([nn.Sequential(tokens), *layers])


def _swin(model: nn.Module) -> Cut:
    """Cut into patches and each merging with its blocks; the last stage turns channels last into channels first."""
    stem, first, *rest = _features(model)
    pairs = [splice(rest[start : start + 2]) for start in range(0, len(rest), 2)]
    pairs[-1].extend([_part(model)["norm"], Channels()])
    return _pooled([splice([stem]), splice([first]), *pairs])


def resize_vit(model: nn.Module, image_size: int) -> None:
    """Let a ViT take images of `image_size` pixels: interpolate its position embeddings (bicubic).

    Raises:
        ValueError: the size is no multiple of the patch size.
    """
    assert isinstance(model, VisionTransformer)
    if image_size % model.patch_size:
        raise ValueError(f"its patches need a multiple of {model.patch_size}")
    state = OrderedDict({"encoder.pos_embedding": model.encoder.pos_embedding.detach()})
    resized = interpolate_embeddings(image_size, model.patch_size, state)["encoder.pos_embedding"]
    model.encoder.pos_embedding = nn.Parameter(resized.to(torch.float32))
    model.image_size = image_size
    model.seq_length = resized.shape[1]


FAMILIES: Final = MappingProxyType(
    {
        "resnet": Family(names=r"(resnet|resnext|wide_resnet)\d+.*", classifier="fc", cut=_resnet),
        "mobilenet_v2": Family(names="mobilenet_v2", classifier="classifier.1", cut=_mobilenet),
        "mobilenet_v3": Family(names="mobilenet_v3_.*", classifier="classifier.3", cut=_mobilenet_v3),
        "efficientnet": Family(names="efficientnet_(b|v2_).*", classifier="classifier.1", cut=_efficientnet),
        "convnext": Family(names="convnext_.*", classifier="classifier.2", cut=_convnext),
        "densenet": Family(names=r"densenet\d+", classifier="classifier", cut=_densenet),
        "vgg": Family(names=r"vgg\d+(_bn)?", classifier="classifier.6", cut=_vgg),
        "regnet": Family(names="regnet_[xy]_.*", classifier="fc", cut=_regnet),
        "vit": Family(names="vit_[blh]_.*", classifier="heads.head", cut=_vit),
        "swin": Family(names="swin_.*", classifier="head", cut=_swin),
    }
)


def family_of(name: str) -> str | None:
    """Return the family of one of torchvision's models; None if no family has it."""
    return next((family for family, info in FAMILIES.items() if re.fullmatch(info.names, name)), None)
