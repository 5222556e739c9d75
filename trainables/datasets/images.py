"""Decoding of one image, from a file or an array to the pixels that all trials share."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torchvision.transforms.v2 import InterpolationMode, functional

from search_spaces.backbones import Interpolation
from trainables.datasets.files import RemoteFile
from trainables.datasets.tables import EmbeddedImage, ImageSource
from trainables.errors import DataError

__all__ = ["MAX_PIXELS", "SUFFIXES", "decode_image", "is_image", "quiet_decoding", "read_image", "resize_image"]

MAX_PIXELS = 100_000_000
SUFFIXES = frozenset(
    (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
"""Suffixes whose files are taken for images without a look at their content."""
_MODES: Final[Mapping[Interpolation, InterpolationMode]] = MappingProxyType(
    {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}
)
_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "SGI", "TIFF", "WEBP")


def decode_image(image: ImageSource, size: int, interpolation: Interpolation = "bilinear") -> npt.NDArray[np.uint8]:
    """Decode an image to uint8 (size, size, 3) RGB: turned upright, on white if transparent, stretched to a square.

    The resize is torchvision's antialiased one on uint8, which an exported model repeats.

    Args:
        image: a file, uint8 pixels (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or uint8 (L,), the bytes of a file.
        size: height and width of the result in pixels.
        interpolation: of the resize.

    Raises:
        DataError: not a complete image of at most MAX_PIXELS pixels; the message names the file.
    """
    return resize_image(read_image(image), size, interpolation)


def read_image(image: ImageSource) -> Image.Image:
    """Decode an image to RGB of its own size, turned upright, on white if transparent; errors as in `decode_image`."""
    if not isinstance(image, np.ndarray):
        return _read(image)
    if image.ndim == 1 and image.dtype == np.uint8:
        return _decode("an image", io.BytesIO(image.tobytes()))
    return _to_rgb(_from_array(image))


def resize_image(rgb: Image.Image, size: int, interpolation: Interpolation) -> npt.NDArray[np.uint8]:
    """Stretch an RGB image to uint8 (size, size, 3)."""
    channels_first = torch.from_numpy(np.array(rgb)).permute(2, 0, 1)
    resized = functional.resize(channels_first, [size, size], _MODES[interpolation], antialias=True)
    return np.ascontiguousarray(resized.permute(1, 2, 0).numpy())


def is_image(content: Path | bytes) -> bool:
    """Return if a file, or its content, begins as an image in one of the known formats; nothing is decoded."""
    try:
        with (
            quiet_decoding(),
            Image.open(content if isinstance(content, Path) else io.BytesIO(content), formats=_FORMATS),
        ):
            return True
    except Image.DecompressionBombError:
        return True  # decoding refuses it with its reason
    except Exception:  # damaged files make Pillow's parsers raise nearly anything
        return False


@contextmanager
def quiet_decoding() -> Iterator[None]:
    """Silence Pillow's warnings: an image either decodes nevertheless or raises DataError."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _read(image: Path | RemoteFile | EmbeddedImage) -> Image.Image:
    return _decode(str(image), image if isinstance(image, Path) else io.BytesIO(image.read()))


def _decode(path: str, content: Path | io.BytesIO) -> Image.Image:
    try:
        with Image.open(content, formats=_FORMATS) as image:
            _check_pixels(image)
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except UnidentifiedImageError:
        reason = "the file is empty" if _is_empty(content) else "not an image in a known format"
        raise DataError(f"{path}: {reason}") from None
    except Image.DecompressionBombError as error:
        pixels = re.findall(r"\d+", str(error))
        raise DataError(f"{path}: {_too_large(int(pixels[0]))}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # damaged files make Pillow's parsers raise nearly anything
        raise DataError(f"{path}: cannot be decoded: {error or type(error).__name__}") from None


def _check_pixels(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(_too_large(width * height))


def _too_large(pixels: int) -> str:
    return f"must have at most {MAX_PIXELS:,} pixels ({pixels:,})"


def _is_empty(content: Path | io.BytesIO) -> bool:
    if isinstance(content, io.BytesIO):
        return content.getbuffer().nbytes == 0
    try:
        return content.stat().st_size == 0
    except OSError:
        return False


def _from_array(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    grey = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 1)
    if pixels.dtype != np.uint8 or pixels.size == 0 or not (grey or pixels.shape[2:] in ((3,), (4,))):
        raise DataError(
            f"an array image must be uint8 (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), not {pixels.dtype} {pixels.shape}"
        )
    return Image.fromarray(pixels.reshape(pixels.shape[:2]) if grey else pixels)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    elif image.mode == "F":
        raise DataError("floating-point pixels have no known range: save them with 8 or 16 bits")
    if image.has_transparency_data:
        foreground = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, foreground).convert("RGB")
    return image.convert("RGB")
