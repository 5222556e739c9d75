"""A backbone of each family, with random weights: its cut equals the library's model, and its row is right."""

from __future__ import annotations

from typing import get_args

import pytest
import timm
import torch
from torch import nn
from torchvision.models import get_model

from search_spaces import BACKBONES
from search_spaces.backbones import Interpolation
from search_spaces.errors import MeltpointError
from trainables.architectures import find_architecture
from trainables.architectures.shapes import Unfilled
from trainables.architectures.table_writer import describe_backbone
from trainables.weights.weights import check_weights

TORCHVISION = [
    "torchvision/resnet18",
    "torchvision/mobilenet_v2",
    "torchvision/mobilenet_v3_small",
    "torchvision/efficientnet_b0",
    "torchvision/efficientnet_v2_s",
    "torchvision/convnext_tiny",
    "torchvision/densenet121",
    "torchvision/vgg11",
    "torchvision/regnet_y_400mf",
    "torchvision/vit_b_16",
    "torchvision/swin_t",
]
TIMM = [
    "timm/tf_efficientnet_lite0",
    "timm/mobilenetv3_small_050",
    "timm/convnext_atto",
    "timm/vit_tiny_patch16_224",
    "timm/swin_tiny_patch4_window7_224",
    "timm/regnety_002",
    "timm/densenet121",
    "timm/resnet18",
]


def test_every_backbone_has_an_interpolation_that_images_support() -> None:
    assert {info.interpolation for info in BACKBONES.values()} == set(get_args(Interpolation))


def smallest_of_each_family() -> list[str]:
    """Return one name of each of timm's families in the table."""
    smallest: dict[str, str] = {}
    for name, info in BACKBONES.items():
        known = smallest.get(info.family)
        if name.startswith("timm/") and (known is None or info.multiply_adds < BACKBONES[known].multiply_adds):
            smallest[info.family] = name
    return sorted(smallest.values())


def filled(model: nn.Module) -> nn.Module:
    """Fill parameters with numbers large enough to show a block's effect, in a tenth of the libraries' time."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.squeeze().ndim >= 2:
                parameter.uniform_(-1, 1).mul_((3 / parameter[0].numel()) ** 0.5)
            else:
                parameter.uniform_(0, 0.1).add_(0 if name.endswith("bias") else 1)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("backbone", [*TORCHVISION, *smallest_of_each_family()])
def test_the_stages_together_equal_the_whole_model(backbone: str) -> None:
    """Check equal features in eval mode, and that every parameter is in exactly one stage."""
    info = BACKBONES[backbone]
    size = min(96, info.input_size) if info.sizing == "any" else info.input_size
    torch.manual_seed(0)
    with Unfilled():
        model = find_architecture(backbone).build().eval()
    filled(model)
    images = torch.randn(1, 3, size, size)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    with torch.no_grad():
        expected = model(images)
        assert torch.isfinite(expected).all()
        cut = find_architecture(backbone).cut(model)
        torch.testing.assert_close(cut.whole()(images), expected, rtol=1e-4, atol=1e-4)
    held = [names[id(parameter)] for stage in cut.stages for parameter in stage.parameters()]
    assert sorted(held) == sorted(names.values())
    assert (len(cut.stages), expected.shape[1]) == (info.stages, info.features)
    assert not list(cut.pool.parameters())


@pytest.mark.parametrize("backbone", [*TORCHVISION, *TIMM])
def test_the_row_in_the_table_describes_the_model(backbone: str) -> None:
    assert describe_backbone(backbone) == BACKBONES[backbone]


@pytest.mark.parametrize("backbone", [*TORCHVISION, *TIMM])
def test_a_weight_file_of_the_library_fits_except_for_its_classifier(backbone: str) -> None:
    library, _, name = backbone.partition("/")
    with Unfilled():
        theirs = get_model(name, weights=None) if library == "torchvision" else timm.create_model(name)
    arch = find_architecture(backbone)
    body = {key: tensor.shape for key, tensor in theirs.state_dict().items() if key not in arch.head}
    assert body == {key: tensor.shape for key, tensor in arch.skeleton.state_dict().items()}
    assert len(body) == len(theirs.state_dict()) - len(arch.head)


def test_a_wrong_image_size_is_refused_before_weights_are_read() -> None:
    with pytest.raises(MeltpointError, match=r"image_size must be one that timm/mixer_b16_224 takes, .*224 \(64\)"):
        check_weights("timm/mixer_b16_224", "pretrained", image_size=64)
    with pytest.raises(MeltpointError, match=r"image_size must be one that torchvision/vit_b_16 takes, .*224 \(100\)"):
        check_weights("torchvision/vit_b_16", "pretrained", image_size=100)
