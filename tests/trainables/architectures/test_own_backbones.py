from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.export import Dim
from torch.nn import functional

from search_spaces import MeltpointError, Recipe, SpecError, parse_spec, resolve_freeze_depth
from search_spaces.extensions import count_stages_by
from tests.own_modules import Write
from trainables.architectures import count_stages, describe_own_backbone
from trainables.architectures.own_backbones import build_own
from trainables.classifiers import Classifier, build_classifier, check_own_export, export_module
from trainables.errors import OwnCodeError, WeightsError
from trainables.stores.prepared import PreparedData
from trainables.training.checkpoints import load_checkpoint, save_checkpoint
from trainables.training.trainer import Trainer
from trainables.weights.weights import check_weights

GOOD = """
def block(given, channels):
    return nn.Sequential(nn.Conv2d(given, channels, 3, 2, 1), nn.BatchNorm2d(channels), nn.ReLU())

def net(pretrained=False):
    stages = {"stem": block(3, 4), "body": block(4, 6), "last": block(6, 8)}
    if pretrained:
        for stage in stages.values():
            nn.init.constant_(stage[0].weight, 0.125)
    return stages
net.mean = net.std = (0.5, 0.5, 0.25)
"""
SIZE = 16


@pytest.fixture(autouse=True)
def _counting() -> None:
    count_stages_by(count_stages)


def images(count: int = 4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)


def classifier(backbone: str, **changed: Any) -> Classifier:
    return build_classifier(backbone, **{"classes": 3, "weights": "random", "image_size": SIZE, "seed": 0, **changed})


def as_bytes(model: Classifier) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(("depth", "frozen"), [(0, 0), (-1, 2), ("all", 3), (2, 2), (-3, 0)])
def test_an_own_backbone_freezes_trains_saves_and_loads(
    write: Write, tiny: PreparedData, tmp_path: Path, depth: int | str, frozen: int
) -> None:
    name = f"{write(GOOD)}:net"
    recipe = Recipe.from_flat({"backbone": name, "weights": "random", "freeze_depth": depth})
    assert recipe.freeze_depth == frozen

    trainer = Trainer(tiny, recipe, seed=0)
    before = as_bytes(trainer.model)
    trainer.run_epoch()
    changed = {key for key, value in as_bytes(trainer.model).items() if value != before[key]}
    held = {key for key in before if key.startswith("stages.") and int(key.split(".")[1]) < frozen}
    assert changed == before.keys() - held

    path = save_checkpoint(tmp_path, epoch=1, tensors=trainer.state_dict(), meta={})
    again = Trainer(tiny, recipe, seed=0)
    again.load_state_dict(load_checkpoint(path).tensors)
    assert as_bytes(again.model) == as_bytes(trainer.model)


def test_an_own_backbone_exports_with_equal_probabilities(write: Write, tmp_path: Path) -> None:
    name = f"{write(GOOD)}:net"
    served = export_module(classifier(name), SIZE, "bilinear")
    example = images(2).permute(0, 2, 3, 1).contiguous()
    program = torch.export.export(served, (example,), dynamic_shapes=({0: Dim.AUTO, 1: Dim.AUTO, 2: Dim.AUTO},))
    torch.export.save(program, tmp_path / "m.pt2")
    loaded = torch.export.load(tmp_path / "m.pt2").module()
    other = torch.randint(0, 256, (3, 23, 20, 3), dtype=torch.uint8)
    for photos in (example, other):
        torch.testing.assert_close(loaded(photos), served(photos), rtol=1e-6, atol=1e-6)


def test_the_description_of_an_own_backbone_is_right(write: Write) -> None:
    info = describe_own_backbone(f"{write(GOOD)}:net", SIZE)
    convolutions = [(3, 4, 8), (4, 6, 4), (6, 8, 2)]
    assert (info.stages, info.features, info.mean, info.std) == (3, 8, (0.5, 0.5, 0.25), (0.5, 0.5, 0.25))
    assert info.multiply_adds == sum(given * made * 9 * side**2 for given, made, side in convolutions)
    assert info.parameters == sum(given * made * 9 + 3 * made for given, made, _ in convolutions)


@pytest.mark.parametrize(
    ("returned", "features"),
    [
        ("[nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3)]", 5),
        ("nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3))", 5),
        ("nn.ModuleDict({'a': nn.Conv2d(3, 4, 3)})", 4),
        ("(nn.Flatten(), nn.Linear(3 * 16 * 16, 7))", 7),
    ],
)
def test_stages_may_be_returned_in_any_ordered_collection(write: Write, returned: str, features: int) -> None:
    name = f"{write(f'def net():{chr(10)}    return {returned}{chr(10)}')}:net"
    model = classifier(name).eval()
    assert model.head.linear.in_features == features
    whole = model(images())
    for depth in range(len(model.stages) + 1):
        model.freeze(depth)
        assert torch.equal(model.suffix(model.prefix(images())), whole)


def test_weights_are_random_pretrained_or_from_a_file(write: Write, tmp_path: Path) -> None:
    name = f"{write(GOOD)}:net"
    assert as_bytes(classifier(name)) == as_bytes(classifier(name))
    assert as_bytes(classifier(name)) != as_bytes(classifier(name, seed=1))
    pretrained = classifier(name, weights="pretrained")
    assert set(pretrained.stages[0].get_parameter("0.weight").flatten().tolist()) == {0.125}

    tensors = {f"{stage}.0.weight": torch.ones(1) for stage in ("stem", "body")}
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"do not fit own_\d+:net: 1\d missing .*; 2 of another shape"):
        classifier(name, weights=str(tmp_path / "w.safetensors"))
    theirs = build_own(name)
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")
    model = classifier(name, weights=str(tmp_path / "w.safetensors"))
    assert torch.equal(model.stages[2].get_parameter("0.weight"), theirs.get_parameter("last.0.weight"))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def net():\n    return [nn.Conv2d(3, 4, 3)]", "has no parameter pretrained, so no pretrained weights"),
        (
            "def net(pretrained=True):\n    return [nn.Conv2d(3, 4, 3)]",
            "must load weights if pretrained is true, and gives the same without",
        ),
        (
            "def net(pretrained):\n    if pretrained:\n        raise OSError('no network')\n    return [nn.ReLU()]",
            "raised OSError: no network",
        ),
    ],
)
def test_a_function_without_pretrained_weights_is_refused(write: Write, code: str, message: str) -> None:
    name = f"{write(code)}:net"
    with pytest.raises(OwnCodeError, match=f"backbone: {name}: {message}"):
        check_weights(name, "pretrained", image_size=SIZE)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise KeyError('width')", "raised KeyError: 'width'"),
        ("return nn.Conv2d(3, 4, 3)", "must return its stages in order: .*, and returned a Conv2d"),
        ("return [nn.ReLU(), torch.relu]", "and returned a builtin_function_or_method among them"),
        ("return []", "must return at least one stage, and returned none"),
        ("return {'a.b': nn.ReLU()}", "must return stages named by letters, digits and _, and returned one named"),
        ("return [nn.LazyLinear(3)]", "and returned 0.weight of a lazy module"),
        ("return [SHARED, nn.ReLU(), SHARED]", "its stages 1 and 3 must not share weight"),
        ("return [SHARED]", "must make new modules at each call, and returned the same again"),
    ],
)
def test_a_function_that_returns_no_stages_is_refused_in_the_sweep_file(write: Write, body: str, message: str) -> None:
    name = f"{write(f'SHARED = nn.Conv2d(3, 3, 1){chr(10)}def net():{chr(10)}    {body}{chr(10)}')}:net"
    with pytest.raises(OwnCodeError, match=rf"^backbone: {name}: .*{message}"):
        check_weights(name, "random")
    text = f'name: x\ndata: {{source: digits}}\nspace: {{backbone: "{name}", freeze_depth: -1}}\n'
    with pytest.raises(SpecError, match=rf"^s.yaml:3:9 space.backbone: .*{message}.* \({name}\)$"):
        parse_spec(text, file="s.yaml")


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (
            "nn.Conv2d(3, 4, 3), nn.Conv2d(5, 4, 3)",
            "stage 2 of 2, on images of 16 px, raised RuntimeError: Given groups",
        ),
        (
            "nn.Conv2d(3, 4, 3), nn.Flatten(2)",
            r"must return stages that lead to .*some that lead to a tensor \(2, 4, 196\)",
        ),
        (
            "nn.Flatten(0)",
            r"stage 1 of 1, .* must give one tensor \(2, ...\) for 2 images, and gave a tensor \(1536,\)",
        ),
        ("nn.AdaptiveMaxPool2d(2, return_indices=True)", r"stage 1 .* must give one tensor \(2, ...\) .* gave a tuple"),
        ("Noise()", "stage 1 of 1 must give the same again in eval mode"),
    ],
)
def test_stages_that_fail_or_give_no_features_are_refused_before_a_trial(
    write: Write, stages: str, message: str
) -> None:
    noise = "class Noise(nn.Module):\n    def forward(self, x):\n        return x + torch.rand_like(x)\n"
    name = f"{write(f'{noise}def net():{chr(10)}    return [{stages}]{chr(10)}')}:net"
    with pytest.raises(OwnCodeError, match=rf"^backbone: {name}: {message}"):
        check_weights(name, "random", image_size=SIZE)


def test_normalisation_must_be_three_numbers(write: Write) -> None:
    name = f"{write('def net():' + chr(10) + '    return [nn.Conv2d(3, 4, 3)]' + chr(10) + 'net.std = (1, 0, 1)')}:net"
    with pytest.raises(OwnCodeError, match=r"its attribute std must be three numbers > 0 \(\(1, 0, 1\)\)"):
        check_weights(name, "random", image_size=SIZE)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("x if x.mean() > 0 else -x", "cannot be exported as pt2: .+"),
        ("x.reshape(len(x), -1)", "must take any number of images once exported"),
    ],
)
def test_a_backbone_that_cannot_be_exported_is_refused_before_a_trial(write: Write, result: str, message: str) -> None:
    stage = f"class Stage(nn.Module):\n    def forward(self, x):\n        return {result}\n"
    name = f"{write(f'{stage}def net():{chr(10)}    return [Stage()]{chr(10)}')}:net"
    check_weights(name, "random", image_size=SIZE)
    with pytest.raises(OwnCodeError, match=rf"^backbone: {name}: {message}"):
        check_own_export(name, SIZE)


def test_a_sweep_file_is_checked_against_the_number_of_stages(write: Write) -> None:
    name = f"{write(GOOD)}:net"
    head = "name: x\ndata: {source: digits}\n"
    space = f'space: {{backbone: {{values: ["{name}", torchvision/resnet18]}}, freeze_depth: {{values: [DEPTHS]}}}}\n'
    spec = parse_spec(head + space.replace("DEPTHS", "all, -1, 0"), file="s.yaml")
    recipe = spec.space.recipe(spec.space.default())
    assert (recipe.backbone, recipe.freeze_depth) == (name, 3)
    assert spec.space.contains(Recipe.from_flat({"backbone": name, "freeze_depth": 2}))
    assert Recipe.from_flat({"backbone": name}).identity == Recipe.from_flat(recipe.flat()).identity
    with pytest.raises(SpecError, match=rf"values\[1\]: must lie in -3..3, or be all: {name} has 3 stages \(4\)"):
        parse_spec(head + space.replace("DEPTHS", "all, 4"), file="s.yaml")
    points = 'search: {algorithm: points, points: [{backbone: "NAME", freeze_depth: DEPTH}]}\n'.replace("NAME", name)
    assert parse_spec(head + points.replace("DEPTH", "-1"), file="s.yaml").points[0].freeze_depth == 2
    for depth in (4, -4):
        with pytest.raises(SpecError, match=rf"points\[0\].freeze_depth: must lie in -3..3, .* \({depth}\)"):
            parse_spec(head + points.replace("DEPTH", str(depth)), file="s.yaml")


def test_the_module_may_lie_beside_the_sweep_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own_net_beside.py").write_text(f"from torch import nn\n{GOOD}")
    text = 'name: x\ndata: {source: digits}\nspace: {backbone: "own_net_beside:net"}\n'
    spec = parse_spec(text, file=str(tmp_path / "s.yaml"))
    assert spec.space.recipe(spec.space.default()).freeze_depth == 3


def test_a_recipe_can_be_read_without_the_module() -> None:
    flat = {"backbone": "own_net_gone:net", "freeze_depth": 2}
    assert Recipe.from_flat(flat).flat()["freeze_depth"] == 2
    with pytest.raises(SpecError, match="freeze_depth: no module own_net_gone can be imported"):
        Recipe.from_flat({**flat, "freeze_depth": "all"})
    with pytest.raises(ValueError, match="no module own_net_gone"):
        resolve_freeze_depth(2, backbone="own_net_gone:net")


def test_an_entry_point_names_a_backbone(write: Write, tmp_path: Path) -> None:
    module = write(GOOD)
    info = tmp_path / "nets-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nets\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[meltpoint.backbones]\nthree_stages = {module}:net\n")
    assert Recipe.from_flat({"backbone": "three_stages"}).freeze_depth == 3
    model = classifier("three_stages")
    model.freeze(3)
    functional.cross_entropy(model(images()), torch.tensor([0, 1, 2, 0])).backward()
    assert {key.split(".")[0] for key, parameter in model.named_parameters() if parameter.grad is not None} == {"head"}
    with pytest.raises(MeltpointError, match="unknown backbone"):
        Recipe.from_flat({"backbone": "four_stages"})
