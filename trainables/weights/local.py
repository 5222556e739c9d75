"""Search for pretrained weights on this machine, without torch and without a network."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from urllib.parse import urlsplit

from search_spaces.backbones import BACKBONES
from search_spaces.documents import expand_user

__all__ = ["has_local_weights"]


def has_local_weights(backbone: str) -> bool:
    """Return True if `weights: pretrained` needs no download, but a package or a cache (torch, Hugging Face)."""
    kind, _, place = BACKBONES[backbone].weights_source.partition(":")
    if kind == "package":
        return importlib.util.find_spec(place.replace("-", "_")) is not None
    if kind == "url":
        return (_torch_home() / "hub" / "checkpoints" / Path(urlsplit(place).path).name).is_file()
    if kind == "hub":
        snapshots = _hugging_face_cache() / f"models--{place.replace('/', '--')}" / "snapshots"
        return snapshots.is_dir() and any(
            any(snapshots.glob(f"*/*.{suffix}")) for suffix in ("safetensors", "bin", "pth")
        )
    return False


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or expand_user("~/.cache"))


def _torch_home() -> Path:
    return Path(os.environ.get("TORCH_HOME") or _cache_home() / "torch")


def _hugging_face_cache() -> Path:
    home = Path(os.environ.get("HF_HOME") or _cache_home() / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
