"""ONNX files that give what the pt2 program gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from search_spaces.backbones import Interpolation
from trainables.classifiers import Ensemble, build_classifier, export_module
from trainables.classifiers.integer_resizing import resize_in_integers
from trainables.classifiers.onnx_export import write_onnx
from trainables.errors import ExportError

SHAPES = [(1, 48, 48, 3), (2, 200, 133, 3), (5, 20, 90, 3), (1, 1, 7, 3), (3, 47, 48, 3)]


def photos(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_resize_in_integers_gives_the_pixels_of_torch(interpolation: Interpolation) -> None:
    generator = np.random.default_rng(0)
    for seed in range(60):
        height, width, size = (int(generator.integers(1, most)) for most in (300, 300, 130))
        images = photos((2, height, width, 3), seed)
        if seed % 3 == 0:
            images = (images > 127).to(torch.uint8) * 255
        expected = functional.interpolate(
            images.permute(0, 3, 1, 2), size=[size, size], mode=interpolation, antialias=True, align_corners=False
        ).permute(0, 2, 3, 1)
        assert torch.equal(resize_in_integers(images, size, interpolation), expected.double()), (height, width, size)


@pytest.mark.parametrize(
    ("backbone", "interpolation"), [("timm/tf_efficientnet_lite0", "bilinear"), ("torchvision/resnet18", "bicubic")]
)
def test_onnxruntime_gives_the_probabilities_of_torch_for_any_batch_height_and_width(
    backbone: str, interpolation: Interpolation, tmp_path: Path
) -> None:
    model = build_classifier(backbone, classes=3, weights="random", seed=0, image_size=48)
    file = tmp_path / "model.onnx"
    metadata = {"classes": ["a", "b", "c"], "note": "kept"}
    difference = write_onnx(model, file, image_size=48, interpolation=interpolation, metadata=metadata)
    assert difference <= 1e-5
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    served = export_module(model, 48, interpolation)
    for shape in SHAPES:
        (probabilities,) = session.run(["probabilities"], {"images": photos(shape).numpy()})
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities, served(photos(shape)).numpy(), rtol=0, atol=1e-4)
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties["classes"]) == ["a", "b", "c"]
    assert properties["note"] == "kept"
    onnx.checker.check_model(file)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]


def test_an_ensemble_is_one_file(tmp_path: Path) -> None:
    models = [build_classifier("timm/test_efficientnet", classes=2, weights="random", seed=seed) for seed in (0, 1)]
    options = {"image_size": 32, "interpolation": "bilinear", "metadata": {}}
    assert write_onnx(Ensemble(models), tmp_path / "model.onnx", **options) <= 1e-5  # type: ignore[arg-type]


class _Unpredictable(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3)) if float(images.sum()) > 0 else images.amax(dim=(2, 3))


def test_a_model_that_onnx_cannot_express_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="the model cannot be expressed in ONNX: "):
        write_onnx(_Unpredictable(), tmp_path / "m.onnx", image_size=32, interpolation="bilinear", metadata={})
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named_with_the_command_that_installs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name.startswith("onnx") else object())
    with pytest.raises(ExportError, match="pip install onnx onnxruntime onnxscript"):
        write_onnx(nn.Identity(), tmp_path / "m.onnx", image_size=32, interpolation="bilinear", metadata={})
