from __future__ import annotations

import pytest
import torch
from timm.layers import DropPath
from torch import nn

from search_spaces.errors import MeltpointError
from search_spaces.records import Dropout
from trainables.architectures import find_architecture
from trainables.classifiers import Classifier, build_classifier
from trainables.classifiers.stochastic_depth import residual_branches

RESIDUAL = {
    "timm/tf_efficientnet_lite0": 9,
    "timm/resnet18": 8,
    "timm/convnext_atto": 12,
    "timm/test_vit": 12,
    "torchvision/resnet18": 8,
    "torchvision/resnet50": 16,
    "torchvision/efficientnet_b0": 9,
    "torchvision/mobilenet_v2": 10,
    "torchvision/mobilenet_v3_small": 6,
    "torchvision/convnext_tiny": 18,
    "torchvision/regnet_y_400mf": 16,
}
"""Number of residual branches; a transformer's block has two."""


def dropping(backbone: str, rate: float, depth: int = 0) -> Classifier:
    return build_classifier(
        backbone, classes=2, weights="random", dropout=Dropout(drop_path=rate), freeze_depth=depth, seed=0
    )


@pytest.mark.parametrize("backbone", RESIDUAL)
def test_every_residual_branch_is_found(backbone: str) -> None:
    arch = find_architecture(backbone)
    stages = arch.cut(arch.skeleton).stages
    assert sum(len(residual_branches(stage)) for stage in stages) == RESIDUAL[backbone]


@pytest.mark.parametrize("backbone", ["timm/test_resnet", "torchvision/resnet18", "timm/test_vit"])
def test_stochastic_depth_changes_training_and_not_evaluation(backbone: str) -> None:
    size = 64 if "vit" not in backbone else 160
    images = torch.randint(0, 256, (4, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plain, dropped = dropping(backbone, 0.0), dropping(backbone, 0.5)
    for norm in (layer for model in (plain, dropped) for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)):
        nn.init.ones_(norm.weight)  # timm's branches begin at zero
    with torch.no_grad():
        torch.testing.assert_close(dropped.eval()(images), plain.eval()(images))
        torch.manual_seed(0)
        dropped.train()
        assert not torch.equal(dropped(images), dropped(images))


def test_probabilities_grow_linearly_and_frozen_stages_have_none() -> None:
    model = dropping("torchvision/resnet18", 0.4, depth=2)
    rates = [module.drop_prob for module in model.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.4 * block / 8 for block in range(3, 9)])


def test_kept_branches_are_scaled_to_keep_the_mean() -> None:
    torch.manual_seed(0)
    ones = torch.ones(20_000, 1)
    kept = DropPath(0.3).train()(ones)
    assert kept.mean().item() == pytest.approx(1.0, abs=0.02)
    assert kept.unique().tolist() == pytest.approx([0.0, 1 / 0.7])


def test_a_backbone_without_residual_blocks_is_refused() -> None:
    with pytest.raises(MeltpointError, match=r"dropout\.drop_path needs residual blocks, and none of its layers is"):
        dropping("torchvision/vgg11", 0.1)


def test_blocks_that_add_nothing_have_no_branch() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.has_skip = False
            self.drop_path = nn.Identity()

    assert residual_branches(Block()) == []
