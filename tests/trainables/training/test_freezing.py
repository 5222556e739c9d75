"""Each family of backbones at each freeze depth, on the smallest models that the libraries' own classes allow.

tests/trainables/architectures/test_families.py checks the cuts of the full-sized models.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional
from torchvision import models
from torchvision.models import mobilenetv2, mobilenetv3
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.efficientnet import FusedMBConvConfig, MBConvConfig
from torchvision.models.mobilenetv3 import InvertedResidualConfig
from torchvision.models.regnet import BlockParams
from torchvision.models.resnet import BasicBlock
from torchvision.models.vgg import make_layers

from search_spaces.records import Dropout, Head
from trainables.architectures import Cut, find_architecture
from trainables.architectures.torchvision_cuts import FAMILIES
from trainables.classifiers import Classifier, export_module
from trainables.classifiers.heads import build_head
from trainables.training.checkpoints import load_checkpoint, save_checkpoint
from trainables.training.state import read_model, write_model

SIZE = 32
CLASSES = 3
TIMM = ["timm/test_efficientnet", "timm/test_vit"]


def small_vgg() -> nn.Module:
    with torch.device("meta"):  # its hidden layers have 4,096 neurons each
        model = models.VGG(nn.Sequential(), init_weights=False)
    model.features = make_layers([4, "M", 8, "M"], batch_norm=True)
    model.avgpool = nn.AdaptiveAvgPool2d(2)
    model.classifier[0], model.classifier[3] = nn.Linear(8 * 4, 16), nn.Linear(16, 12)
    return model


def small_efficientnet_v2() -> nn.Module:
    blocks: list[MBConvConfig | FusedMBConvConfig] = [
        FusedMBConvConfig(1, 3, 1, 8, 8, 1),
        MBConvConfig(4, 3, 2, 8, 16, 1),
    ]
    return models.EfficientNet(blocks, dropout=0.2, last_channel=32)


SMALL: dict[str, Callable[[], nn.Module]] = {
    "resnet": partial(models.ResNet, BasicBlock, [1, 1, 1, 1]),
    "mobilenet_v2": partial(
        mobilenetv2.MobileNetV2, width_mult=0.25, inverted_residual_setting=[[1, 16, 1, 1], [6, 24, 2, 2]]
    ),
    "mobilenet_v3": partial(
        mobilenetv3.MobileNetV3, [InvertedResidualConfig(16, 3, 16, 16, True, "RE", 2, 1, 1.0)] * 2, last_channel=24
    ),
    "efficientnet": partial(models.EfficientNet, [MBConvConfig(1, 3, 1, 32, 8, 1)] * 1, dropout=0.2),
    "efficientnet_v2": small_efficientnet_v2,
    "convnext": partial(models.ConvNeXt, [CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)]),
    "densenet": partial(models.DenseNet, growth_rate=4, block_config=(1, 1, 1, 1), num_init_features=8),
    "vgg": small_vgg,
    "regnet": partial(models.RegNet, BlockParams.from_init_params(depth=3, w_0=8, w_a=8, w_m=2, group_width=8)),
    "vit": partial(
        models.VisionTransformer,
        image_size=SIZE,
        patch_size=16,
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=32,
    ),
    "swin": partial(
        models.SwinTransformer,
        patch_size=[4, 4],
        embed_dim=8,
        depths=[1, 2],
        num_heads=[1, 2],
        window_size=[4, 4],
    ),
}


def photos(count: int, size: int = SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def cut(name: str) -> Cut:
    torch.manual_seed(0)
    if name in SMALL:
        family = FAMILIES[name.removesuffix("_v2") if name == "efficientnet_v2" else name]
        model = SMALL[name]()
        model.set_submodule(family.classifier, nn.Identity())
        return family.cut(model)
    arch = find_architecture(name)
    model = arch.build()
    arch.resize(model, SIZE)
    return arch.cut(model)


def classifier(name: str) -> Classifier:
    parts = cut(name)
    with torch.no_grad():
        features = copy.deepcopy(parts).whole().eval()(torch.zeros(1, 3, SIZE, SIZE)).shape[1]
    halves = (0.5, 0.5, 0.5)
    head = build_head(features, CLASSES, head=Head(), dropout=Dropout(rate=0.1))
    return Classifier(parts, head=head, mean=halves, std=halves)


def as_bytes(model: nn.Module) -> dict[str, bytes]:
    return {name: tensor.detach().contiguous().numpy().tobytes() for name, tensor in model.state_dict().items()}


def stage_of(name: str) -> int | None:
    return int(name.split(".")[1]) if name.startswith("stages.") else None


@pytest.mark.parametrize("depth", ["0", "-1", "all"])
@pytest.mark.parametrize("name", [*SMALL, *TIMM])
def test_a_step_changes_what_is_thawed_and_nothing_that_is_frozen(name: str, depth: str, tmp_path: Path) -> None:
    fresh = classifier(name)
    stages = len(fresh.stages)
    frozen = {"0": 0, "-1": stages - 1, "all": stages}[depth]
    fresh.freeze(frozen)
    model = copy.deepcopy(fresh)
    before = as_bytes(model)

    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.01, weight_decay=0.1)
    functional.cross_entropy(model(photos(4)), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()

    for key, parameter in model.named_parameters():
        stage = stage_of(key)
        thawed = stage is None or stage >= frozen
        assert parameter.requires_grad == thawed, key
        assert (parameter.grad is not None) == thawed, key
    after = as_bytes(model)
    changed = {key for key in before if before[key] != after[key]}
    assert {"head.linear.weight", "head.linear.bias"} <= changed
    for number, layers in enumerate(model.stages):
        held = {f"stages.{number}.{key}" for key in layers.state_dict()}
        if number < frozen:
            assert not changed & held
            assert not any(module.training for module in layers.modules())
        else:
            counters = {key for key in held if key.endswith(("running_mean", "running_var", "num_batches_tracked"))}
            assert counters <= changed
            assert not list(layers.parameters()) or changed & held - counters
    model.eval()
    path = save_checkpoint(tmp_path, epoch=1, tensors={"model": read_model(model)}, meta={})
    write_model(fresh, load_checkpoint(path).tensors["model"])
    assert as_bytes(fresh) == after
    with torch.no_grad():
        logits = model(photos(2))
        assert torch.isfinite(logits).all()
        assert torch.equal(fresh.eval()(photos(2)), logits)


@pytest.mark.parametrize("name", [*SMALL, *TIMM])
def test_prefix_and_suffix_make_the_whole_at_every_boundary(name: str) -> None:
    model = classifier(name).eval()
    with torch.no_grad():
        whole = model(photos(2))
        for depth in range(len(model.stages) + 1):
            model.freeze(depth)
            assert torch.equal(model.suffix(model.prefix(photos(2))), whole)


@pytest.mark.parametrize("name", [*SMALL, *TIMM])
def test_the_exported_program_gives_equal_probabilities(name: str, tmp_path: Path) -> None:
    """Compare a frozen and a thawed model in eval mode, which are the same program cut at different boundaries."""
    model = classifier(name)
    model.freeze(len(model.stages) - 1)
    served = export_module(model, SIZE, "bilinear")
    example = photos(2).permute(0, 2, 3, 1).contiguous()
    program = torch.export.export(served, (example,), dynamic_shapes=({0: Dim.AUTO, 1: Dim.AUTO, 2: Dim.AUTO},))
    torch.export.save(program, tmp_path / "m.pt2")
    loaded = torch.export.load(tmp_path / "m.pt2").module()
    other = photos(3, SIZE + 9).permute(0, 2, 3, 1).contiguous()
    with torch.no_grad():
        for images in (example, other):
            torch.testing.assert_close(loaded(images), served(images), rtol=1e-5, atol=1e-6)


def test_every_family_of_torchvision_is_here() -> None:
    assert {name for name in SMALL if name != "efficientnet_v2"} == FAMILIES.keys()
