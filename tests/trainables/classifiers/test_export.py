from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.export import Dim
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from search_spaces.backbones import Interpolation
from search_spaces.recipes import Recipe
from search_spaces.records import Dropout
from trainables.classifiers import Classifier, build_classifier, export_module
from trainables.stores.prepared import PreparedData
from trainables.training.trainer import Trainer

SIZE = 48
SHAPES = [(1, SIZE, SIZE, 3), (3, SIZE, SIZE, 3), (2, 200, 133, 3), (5, 20, 90, 3), (1, SIZE, 64, 3)]


def photos(shape: tuple[int, ...]) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=["timm/tf_efficientnet_lite0", "torchvision/resnet18"])
def classifier(request: pytest.FixtureRequest) -> Classifier:
    model = build_classifier(request.param, classes=3, weights="random", dropout=Dropout(rate=0.5), seed=0)
    model.freeze(2)
    return model.to(memory_format=torch.channels_last).train()


INTERPOLATIONS = ["bilinear", "bicubic"]


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_the_exported_graph_equals_the_module_for_any_batch_height_and_width(
    classifier: Classifier, interpolation: Interpolation, tmp_path: Path
) -> None:
    served = export_module(classifier, SIZE, interpolation)
    dynamic = {0: Dim.AUTO, 1: Dim.AUTO, 2: Dim.AUTO}
    program = torch.export.export(served, (photos((2, SIZE, SIZE, 3)),), dynamic_shapes=(dynamic,))
    torch.export.save(program, tmp_path / "model.pt2")
    loaded = torch.export.load(tmp_path / "model.pt2").module()
    for shape in SHAPES:
        probabilities = loaded(photos(shape))
        assert probabilities.dtype == torch.float32
        assert probabilities.shape == (shape[0], 3)
        torch.testing.assert_close(probabilities, served(photos(shape)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_served_images_are_resized_like_training_images(
    classifier: Classifier, shape: tuple[int, ...], interpolation: Interpolation
) -> None:
    mode = InterpolationMode(interpolation)
    resized = [
        transforms.resize(photo.permute(2, 0, 1).contiguous(), [SIZE, SIZE], mode, antialias=True)
        for photo in photos(shape)
    ]
    served = export_module(classifier, SIZE, interpolation)
    expected = torch.softmax(served.classifier(torch.stack(resized)), dim=1)
    torch.testing.assert_close(served(photos(shape)), expected, rtol=0, atol=1e-6)


def test_a_program_can_refuse_pixels_whose_fractions_were_cut_off(classifier: Classifier, tmp_path: Path) -> None:
    served = export_module(classifier, SIZE, "bilinear", refuses_fractions=True)
    dynamic = {0: Dim.AUTO, 1: Dim.AUTO, 2: Dim.AUTO}
    program = torch.export.export(served, (photos((2, SIZE, SIZE, 3)),), dynamic_shapes=(dynamic,))
    torch.export.save(program, tmp_path / "model.pt2")
    loaded = torch.export.load(tmp_path / "model.pt2").module()
    for value in (0, 1):
        with pytest.raises(RuntimeError, match="every pixel is 0 or 1: send whole numbers from 0 to 255"):
            loaded(torch.full((2, 20, 30, 3), value, dtype=torch.uint8))
    for shape in SHAPES:
        mixed = photos(shape)
        mixed[0] = 0
        mixed[-1, -1, -1] = 2
        torch.testing.assert_close(loaded(mixed), served(mixed), rtol=0, atol=1e-6)


def test_serving_does_not_change_the_classifier(classifier: Classifier) -> None:
    export_module(classifier, SIZE, "bilinear")
    assert classifier.training
    assert classifier.head.linear.weight.requires_grad


def test_a_trained_model_serves_the_probabilities_of_its_evaluation(tiny: PreparedData) -> None:
    recipe = Recipe.from_flat({"weights": "random", "freeze_depth": -1, "batch_size": 8})
    trainer = Trainer(tiny, recipe, seed=0)
    expected = trainer.run_epoch().val.probabilities
    served = export_module(trainer.model, tiny.images.shape[1], tiny.interpolation)
    probabilities = served(torch.from_numpy(tiny.images[tiny.splits["val"]]))
    torch.testing.assert_close(probabilities.double(), torch.from_numpy(expected), rtol=0, atol=1e-6)
