"""Writers of small archives for tests: zip and tar files, compressed ones, and WebDataset shards."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["encoded", "pack", "picture", "samples"]

MODES = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".txz": "w:xz"}


def picture(number: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (12, 10, 3), dtype=np.uint8))


def encoded(number: int, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    picture(number).save(stream, kind)
    return stream.getvalue()


def pack(path: Path, files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> Path:
    """Write files to an archive whose suffix gives its kind; links: name -> target, of a tar file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    mode = next(mode for suffix, mode in MODES.items() if path.name.endswith(suffix))
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return path


def samples(count: int, *, first: int = 0, classes: int = 2) -> dict[str, bytes]:
    """Return the files of WebDataset samples: a JPEG and a class number each."""
    numbers = range(first, first + count)
    images = {f"{number:06d}.jpg": encoded(number, "JPEG") for number in numbers}
    return images | {f"{number:06d}.cls": str(number % classes).encode() for number in numbers}
