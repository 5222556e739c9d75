"""One backbone of each family, with random weights: its cut is the library's model, and the table says what it is."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import get_model

from search_spaces import BACKBONES
from search_spaces.backbones import Interpolation
from search_spaces.errors import MeltpointError
from trainables.architectures import architecture
from trainables.backbone_table import describe
from trainables.backbones import build_classifier
from trainables.weights import check_weights

SIZES = {
    "torchvision/resnet18": 48,
    "torchvision/mobilenet_v2": 48,
    "torchvision/mobilenet_v3_small": 48,
    "torchvision/efficientnet_b0": 48,
    "torchvision/convnext_tiny": 32,
    "torchvision/densenet121": 48,
    "torchvision/vgg11": 32,
    "torchvision/regnet_y_400mf": 48,
    "torchvision/vit_b_16": 32,
    "torchvision/swin_t": 32,
    "torchvision/efficientnet_v2_s": 32,
    "timm/tf_efficientnet_lite0": 48,
    "timm/mobilenetv3_small_050": 48,
    "timm/convnext_atto": 32,
    "timm/vit_tiny_patch16_224": 32,
    "timm/swin_tiny_patch4_window7_224": 224,
    "timm/regnety_002": 48,
    "timm/densenet121": 48,
    "timm/resnet18": 48,
}
CLASSES = 3


def photos(size: int, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def original(backbone: str, size: int) -> tuple[nn.Module, str]:
    """The library's own model and the name of its classifier."""
    library, _, name = backbone.partition("/")
    classifier = architecture(backbone).head[0].removesuffix(".weight")
    if library == "torchvision":
        more = {"image_size": size} if name.startswith("vit") else {}
        return get_model(name, weights=None, num_classes=CLASSES, **more), classifier
    more = {"img_size": size} if BACKBONES[backbone].sizing == "resized" else {}
    return timm.create_model(name, num_classes=CLASSES, **more), classifier


@pytest.mark.parametrize("backbone", SIZES)
def test_the_staged_classifier_gives_the_logits_of_the_library_s_model(backbone: str, tmp_path: Path) -> None:
    info = BACKBONES[backbone]
    size = info.input_size if info.sizing == "resized" else SIZES[backbone]
    torch.manual_seed(0)
    theirs, head = original(backbone, size)
    with torch.no_grad():
        for parameter in theirs.parameters():  # norms and scales away from their trivial start
            parameter.add_(torch.rand_like(parameter), alpha=0.01)
    save_file({name: value.contiguous() for name, value in theirs.state_dict().items()}, tmp_path / "w.safetensors")
    ours = build_classifier(
        backbone, classes=CLASSES, weights=str(tmp_path / "w.safetensors"), image_size=size, seed=0
    ).eval()
    ours.head.linear.load_state_dict(theirs.get_submodule(head).state_dict())
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (info.mean, info.std))
    with torch.no_grad():
        expected = theirs.eval()((photos(size) / 255 - mean) / std)
        torch.testing.assert_close(ours(photos(size)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backbone", SIZES)
def test_the_table_s_row_is_what_the_model_is(backbone: str) -> None:
    assert describe(backbone) == BACKBONES[backbone]


def test_what_a_backbone_cannot_take_is_refused_before_weights_are_read() -> None:
    with pytest.raises(MeltpointError, match=r"image_size must be one that timm/mixer_b16_224 takes, .*224 \(64\)"):
        check_weights("timm/mixer_b16_224", "pretrained", image_size=64)
    with pytest.raises(MeltpointError, match=r"image_size must be one that torchvision/vit_b_16 takes, .*224 \(100\)"):
        check_weights("torchvision/vit_b_16", "pretrained", image_size=100)


def test_every_backbone_wants_a_resize_that_images_can_go_through() -> None:
    assert {info.interpolation for info in BACKBONES.values()} == set(get_args(Interpolation))


def smallest_of_each_family() -> list[str]:
    smallest: dict[str, str] = {}
    for name, info in BACKBONES.items():
        known = smallest.get(info.family)
        if name.startswith("timm/") and (known is None or info.multiply_adds < BACKBONES[known].multiply_adds):
            smallest[info.family] = name
    return sorted(smallest.values())


@pytest.mark.slow
@pytest.mark.parametrize("backbone", smallest_of_each_family())
def test_the_stages_of_every_timm_family_are_the_whole_model(backbone: str) -> None:
    """Same features in eval mode, and every parameter is in exactly one stage, with a place in their order."""
    info = BACKBONES[backbone]
    size = min(64, info.input_size) if info.sizing == "any" else info.input_size
    torch.manual_seed(0)
    model = architecture(backbone).build().eval()
    images = torch.randn(1, 3, size, size)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    with torch.no_grad():
        expected = model(images)
        cut = architecture(backbone).cut(model)
        torch.testing.assert_close(cut.whole()(images), expected, rtol=1e-4, atol=1e-4)
    held = [names[id(parameter)] for stage in cut.stages for parameter in stage.parameters()]
    assert sorted(held) == sorted(names.values())
    assert len(cut.stages) == info.stages
    assert not list(cut.pool.parameters())
