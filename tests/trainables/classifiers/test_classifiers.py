from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.backbones import BACKBONES, refused
from search_spaces.errors import MeltpointError, SpecError
from search_spaces.recipes import Recipe
from trainables.architectures.table_writer import list_names
from trainables.classifiers import Classifier, build_classifier

LITE0, RESNET18 = "timm/tf_efficientnet_lite0", "torchvision/resnet18"
ORIGINALS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    LITE0: (lambda: timm.create_model("tf_efficientnet_lite0", num_classes=5), "classifier"),
    RESNET18: (lambda: torchvision.models.resnet18(num_classes=5), "fc"),
}


def images(count: int = 4, size: int = 64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def random_classifier(backbone: str, seed: int = 0) -> Classifier:
    return build_classifier(backbone, classes=3, weights="random", seed=seed)


def train_a_step(model: Classifier) -> None:
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    functional.cross_entropy(model(images()), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()


def as_bytes(tensors: dict[str, Tensor]) -> dict[str, bytes]:
    return {name: tensor.detach().numpy().tobytes() for name, tensor in tensors.items()}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("backbone", [LITE0, RESNET18])
def test_stages_compute_the_same_as_the_original_model(backbone: str, training: bool, tmp_path: Path) -> None:
    make, head_name = ORIGINALS[backbone]
    torch.manual_seed(1)
    original = make().train(training)
    save_file(original.state_dict(), tmp_path / "original.safetensors")
    ours = build_classifier(backbone, classes=5, weights=str(tmp_path / "original.safetensors"), seed=0)
    ours.train(training)
    ours.head.linear.load_state_dict(getattr(original, head_name).state_dict())
    info = BACKBONES[backbone]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (info.mean, info.std))

    expected = original((images() / 255 - mean) / std)

    torch.testing.assert_close(ours(images()), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours(images().float()), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "depth"), [(LITE0, 0), (LITE0, 1), (LITE0, 8), (LITE0, 9), (RESNET18, 0), (RESNET18, 4)]
)
def test_freeze_depth_freezes_exactly_the_first_stages(backbone: str, depth: int) -> None:
    model = random_classifier(backbone)
    model.freeze(depth)
    before = as_bytes(model.state_dict())
    for stage in range(len(model.stages)):
        flags = {parameter.requires_grad for parameter in model.stages[stage].parameters()}
        assert flags == {stage >= depth}
    assert all(parameter.requires_grad for parameter in model.head.parameters())

    train_a_step(model)

    after = as_bytes(model.state_dict())
    for name in before:
        frozen = name.startswith("stages.") and int(name.split(".")[1]) < depth
        if frozen:
            assert after[name] == before[name], name
        elif name.endswith(("running_mean", "running_var", "num_batches_tracked", "linear.weight")):
            assert after[name] != before[name], name


def test_frozen_stages_stay_in_eval_mode_and_thaw_again() -> None:
    model = random_classifier(LITE0)
    model.freeze(9)
    model.train()
    assert not any(module.training for module in model.stages.modules() if isinstance(module, nn.BatchNorm2d))
    assert model.head.dropout.training

    model.freeze(2)

    modes = [stage.training for stage in model.stages]
    assert modes == [False] * 2 + [True] * 7
    assert all(parameter.requires_grad for parameter in model.stages[2].parameters())
    model.eval()
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("backbone", [LITE0, RESNET18])
def test_prefix_and_suffix_together_equal_the_model_at_every_boundary(backbone: str) -> None:
    model = random_classifier(backbone).eval()
    whole = model(images())
    for depth in range(len(model.stages) + 1):
        model.freeze(depth)
        assert torch.equal(model.suffix(model.prefix(images())), whole)


@pytest.mark.parametrize("depth", [-1, 10])
def test_a_freeze_depth_outside_the_stages_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match=rf"must be 0\.\.9 \({depth}\)"):
        random_classifier(LITE0).freeze(depth)


def test_the_initial_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = as_bytes(random_classifier(RESNET18, seed=1).state_dict())
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert as_bytes(random_classifier(RESNET18, seed=1).state_dict()) == first
    other = as_bytes(random_classifier(RESNET18, seed=2).state_dict())
    assert other["head.linear.weight"] != first["head.linear.weight"]
    assert other["stages.0.0.weight"] != first["stages.0.0.weight"]


def test_trials_that_start_from_the_same_weights_share_nothing() -> None:
    first = build_classifier(LITE0, classes=3, seed=0)
    second = build_classifier(LITE0, classes=3, seed=0)
    before = as_bytes(second.state_dict())
    train_a_step(first)
    assert as_bytes(second.state_dict()) == before
    assert as_bytes(build_classifier(LITE0, classes=3, seed=0).state_dict()) == before


def test_an_unknown_backbone_is_refused_with_the_known_families() -> None:
    with pytest.raises(
        MeltpointError, match=r"timm/<model>, torchvision/<model> of resnet, .*swin, or own code"
    ) as refused:
        build_classifier("timm/nope", classes=2, seed=0)
    assert "'timm/nope'" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("timm/eva02_base_patch14_224", "modules behind its first stage hand on more than one tensor"),
        ("timm/caformer_s18", "it declares no groups"),
        ("timm/cait_xxs24_224", "it declares no coarse groups by name"),
    ],
)
def test_a_model_that_cannot_be_cut_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(SpecError, match=rf"^backbone: cannot be cut into stages: {reason} \({name}\)$"):
        Recipe.from_flat({"backbone": name})
    with pytest.raises(MeltpointError, match=rf"{name} cannot be cut into stages: {reason}"):
        build_classifier(name, classes=2, weights="random", seed=0)


def test_no_model_is_both_usable_and_refused() -> None:
    assert not refused().keys() & set(BACKBONES)
    assert all(refused().values())
    assert refused().keys() | set(BACKBONES) <= set(list_names())
