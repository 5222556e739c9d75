"""One backbone of each family, with random weights: what holds for the two that trials use holds for all."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import get_args

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional
from torchvision.models import get_model

from search_spaces import BACKBONES, resolve_freeze_depth
from search_spaces.backbones import Interpolation
from search_spaces.errors import MeltpointError
from trainables.architectures import architecture
from trainables.backbone_table import describe
from trainables.backbones import Classifier, build_classifier
from trainables.checkpoints import load_checkpoint, save_checkpoint
from trainables.export import export_module
from trainables.training_state import read_model, write_model
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
VGG = "torchvision/vgg11"  # 129 M parameters in its smallest
SMALL = [
    "torchvision/resnet18",
    "torchvision/mobilenet_v3_small",
    "torchvision/efficientnet_b0",
    "torchvision/densenet121",
    "torchvision/regnet_y_400mf",
    "torchvision/swin_t",
    "timm/convnext_atto",
    "timm/vit_tiny_patch16_224",
]
CLASSES = 3


def photos(size: int, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def classifier(backbone: str, depth: int | str = 0) -> Classifier:
    size = SIZES[backbone]
    model = build_classifier(backbone, classes=CLASSES, weights="random", image_size=size, seed=0)
    model.freeze(resolve_freeze_depth(depth, backbone=backbone))
    return model


def original(backbone: str, size: int) -> tuple[nn.Module, str]:
    """The library's own model and the name of its classifier."""
    library, _, name = backbone.partition("/")
    classifier = architecture(backbone).head[0].removesuffix(".weight")
    if library == "torchvision":
        more = {"image_size": size} if name.startswith("vit") else {}
        return get_model(name, weights=None, num_classes=CLASSES, **more), classifier
    more = {"img_size": size} if BACKBONES[backbone].sizing == "resized" else {}
    return timm.create_model(name, num_classes=CLASSES, **more), classifier


def as_bytes(tensors: dict[str, Tensor]) -> dict[str, bytes]:
    return {name: tensor.detach().contiguous().numpy().tobytes() for name, tensor in tensors.items()}


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


@pytest.mark.parametrize("depth", [0, -1, "all"])
@pytest.mark.parametrize("backbone", [*SMALL, pytest.param(VGG, marks=pytest.mark.slow)])
def test_a_step_changes_what_is_thawed_and_nothing_that_is_frozen(
    backbone: str, depth: int | str, tmp_path: Path
) -> None:
    fresh = classifier(backbone, depth)
    model = copy.deepcopy(fresh)
    before = as_bytes(model.state_dict())
    frozen = {name for name in before if name.startswith("stages.") and int(name.split(".")[1]) < model.freeze_depth}
    assert {name for name, parameter in model.named_parameters() if not parameter.requires_grad} <= frozen
    assert not frozen & {name for name, parameter in model.named_parameters() if parameter.requires_grad}

    model.train()
    optimizer = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=1e-5)
    functional.cross_entropy(model(photos(SIZES[backbone], count=4)), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()

    after = as_bytes(model.state_dict())
    changed = {name for name in before if before[name] != after[name]}
    assert not changed & frozen
    assert "head.linear.bias" in changed
    thawed = {name for name in before.keys() - frozen if name.startswith("stages.")}
    assert bool(changed & thawed) == bool(thawed)
    model.eval()
    path = save_checkpoint(tmp_path, epoch=1, tensors={"model": read_model(model)}, meta={})
    again = copy.deepcopy(fresh).eval()
    write_model(again, load_checkpoint(path).tensors["model"])
    with torch.no_grad():
        logits = model(photos(SIZES[backbone]))
        assert torch.isfinite(logits).all()
        assert torch.equal(again(photos(SIZES[backbone])), logits)


@pytest.mark.parametrize("backbone", [*SMALL, pytest.param(VGG, marks=pytest.mark.slow)])
def test_the_exported_program_gives_equal_probabilities(backbone: str, tmp_path: Path) -> None:
    size = SIZES[backbone]
    served = export_module(classifier(backbone), size, BACKBONES[backbone].interpolation)
    example = photos(size).permute(0, 2, 3, 1).contiguous()
    program = torch.export.export(served, (example,), dynamic_shapes=({0: Dim.AUTO, 1: Dim.AUTO, 2: Dim.AUTO},))
    torch.export.save(program, tmp_path / "m.pt2")
    loaded = torch.export.load(tmp_path / "m.pt2").module()
    other = photos(size + 9, count=3).permute(0, 2, 3, 1).contiguous()
    with torch.no_grad():
        for images in (example, other):
            torch.testing.assert_close(loaded(images), served(images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backbone", SMALL)
def test_prefix_and_suffix_make_the_whole_at_every_boundary(backbone: str) -> None:
    model = classifier(backbone).eval()
    images = photos(SIZES[backbone])
    with torch.no_grad():
        whole = model(images)
        for depth in range(len(model.stages) + 1):
            model.freeze(depth)
            assert torch.equal(model.suffix(model.prefix(images)), whole)


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
    torch.manual_seed(0)
    model = architecture(backbone).build().eval()
    images = torch.randn(1, 3, info.input_size, info.input_size)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    with torch.no_grad():
        expected = model(images)
        cut = architecture(backbone).cut(model)
        torch.testing.assert_close(cut.whole()(images), expected, rtol=1e-4, atol=1e-4)
    held = [names[id(parameter)] for stage in cut.stages for parameter in stage.parameters()]
    assert sorted(held) == sorted(names.values())
    assert len(cut.stages) == info.stages
    assert not list(cut.pool.parameters())
