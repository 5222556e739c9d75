"""Trained classifiers as ONNX files: the same requests and the same answers as the pt2 program."""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.export import Dim

from search_spaces.backbones import Interpolation
from trainables.classifiers.export import ServedClassifier, export_module
from trainables.classifiers.integer_resizing import resize_in_integers
from trainables.errors import ExportError

__all__ = ["ONNX_PACKAGES", "check_onnx_packages", "write_onnx"]

ONNX_PACKAGES: Final = ("onnx", "onnxruntime", "onnxscript")
INPUT, OUTPUT = "images", "probabilities"
TOLERANCE: Final = 1e-4
"""Largest difference of a probability between the file and the torch module."""


class _OnnxClassifier(nn.Module):
    """A `ServedClassifier` whose resize is made of operations that ONNX has."""

    def __init__(self, served: ServedClassifier) -> None:
        super().__init__()
        self.classifier = served.classifier
        self.image_size, self.interpolation = served.image_size, served.interpolation

    def forward(self, images: Tensor) -> Tensor:
        """Take uint8 RGB images (N, H, W, 3) of any size, and return float32 probabilities (N, classes)."""
        resized = resize_in_integers(images, self.image_size, self.interpolation)
        return torch.softmax(self.classifier(resized.to(torch.float32).permute(0, 3, 1, 2)), dim=1)


def check_onnx_packages() -> None:
    """Raise ExportError if a package is missing that `write_onnx` needs."""
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"an ONNX file needs packages that are not installed: pip install {' '.join(missing)}")


def write_onnx(
    classifier: nn.Module,
    file: Path,
    *,
    image_size: int,
    interpolation: Interpolation,
    metadata: Mapping[str, Any],
) -> float:
    """Write a classifier with its preprocessing as an ONNX file, run the file, and compare it with the module.

    The file takes `images`, uint8 (N, H, W, 3) with any N, H and W, and gives `probabilities`, float32 (N, classes).

    Args:
        classifier: takes images (N, 3, H, W) in 0..255 and returns logits; it stays as it is.
        file: path of the file; it is there only if all went well.
        image_size: pixels to which the training images were resized.
        interpolation: interpolation that resized them.
        metadata: values for JSON that are written into the file, by name.

    Returns:
        The largest difference of a probability between file and module on images of noise, of three sizes.

    Raises:
        ExportError: a package is missing, the classifier cannot be expressed in ONNX, or the file's probabilities
            differ by more than `TOLERANCE`.
    """
    check_onnx_packages()
    served = export_module(classifier, image_size, interpolation)
    part = file.with_name(f"{file.name}.part")
    try:
        with _quietly():
            _save(_OnnxClassifier(served).eval(), part, metadata)
        difference = _compare(served, part)
        if not difference <= TOLERANCE:
            raise ExportError(f"the ONNX file's probabilities must be the model's: they differ by {difference:.2g}")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return difference


def _save(module: nn.Module, file: Path, metadata: Mapping[str, Any]) -> None:
    example = torch.zeros(2, 40, 48, 3, dtype=torch.uint8)
    try:
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: Dim.DYNAMIC, 1: Dim.DYNAMIC, 2: Dim.DYNAMIC},),
            input_names=[INPUT],
            output_names=[OUTPUT],
            verbose=False,
        )
    except Exception as error:  # the exporter may raise anything
        cause = error.__cause__ or error
        reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        raise ExportError(f"the model cannot be expressed in ONNX: {reason}") from error
    assert program is not None
    program.model.metadata_props.update(
        {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()}
    )
    program.save(file)


def _compare(served: ServedClassifier, file: Path) -> float:
    """Return the largest difference of a probability; NaN if one is not a number."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    differences = [0.0]
    for shape in ((1, served.image_size, served.image_size, 3), (3, 61, 90, 3), (2, 301, 150, 3)):
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        (output,) = session.run([OUTPUT], {INPUT: images.numpy()})
        differences.append(float((torch.from_numpy(output) - served(images)).abs().max()))
    return float(torch.tensor(differences, dtype=torch.float64).max())


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence the exporter's warnings and notes about its own inside; its errors are raised."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
