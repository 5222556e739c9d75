from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode, functional

from search_spaces.backbones import Interpolation
from trainables.datasets.images import decode_image
from trainables.errors import DataError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("1", 1, WHITE),
        ("L", 77, (77, 77, 77)),
        ("LA", (77, 255), (77, 77, 77)),
        ("LA", (77, 0), WHITE),
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), WHITE),
        ("I;16", 257 * 99, (99, 99, 99)),
    ],
)
def test_every_kind_of_pixel_becomes_rgb(tmp_path: Path, mode: str, color: Any, expected: object) -> None:
    path = save(Image.new(mode, (20, 10), color), tmp_path / "image.png")

    pixels = decode_image(path, 16)

    assert pixels.shape == (16, 16, 3)
    assert pixels.dtype == np.uint8
    assert np.all(pixels == np.array(expected, dtype=np.uint8))


def test_palettes_keep_colours_and_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, *RED])

    assert np.all(decode_image(save(image, tmp_path / "opaque.png"), 8) == RED)
    assert np.all(decode_image(save(image, tmp_path / "clear.png", transparency=1), 8) == WHITE)
    assert np.all(decode_image(save(image, tmp_path / "clear.gif", transparency=1), 8) == WHITE)


def test_a_colour_key_is_transparent(tmp_path: Path) -> None:
    path = save(Image.new("RGB", (8, 8), RED), tmp_path / "key.png", transparency=RED)

    assert np.all(decode_image(path, 8) == WHITE)


def test_cmyk_photos_keep_their_colours(tmp_path: Path) -> None:
    path = save(Image.new("RGB", (16, 16), (200, 60, 40)).convert("CMYK"), tmp_path / "print.jpg", quality=100)

    assert np.all(np.abs(decode_image(path, 16).astype(int) - (200, 60, 40)) <= 3)


def test_sixteen_bit_grey_in_a_tiff_keeps_its_scale(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    path = save(Image.fromarray(ramp), tmp_path / "depth.tiff")

    assert np.array_equal(decode_image(path, 16)[..., 0], (ramp // 257).astype(np.uint8))


def test_photos_are_turned_upright(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # taken upside down
    path = save(Image.fromarray(pixels), tmp_path / "turned.png", exif=exif)

    assert np.array_equal(decode_image(path, 8), pixels[::-1])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_resize_is_torchvisions_own(tmp_path: Path, interpolation: Interpolation) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 37, 3), dtype=np.uint8)
    path = save(Image.fromarray(pixels), tmp_path / "noise.png")
    channels_first = torch.from_numpy(pixels).permute(2, 0, 1)
    expected = functional.resize(channels_first, [24, 24], InterpolationMode(interpolation), antialias=True)

    assert np.array_equal(decode_image(path, 24, interpolation), expected.permute(1, 2, 0).numpy())
    assert np.array_equal(decode_image(pixels, 24, interpolation), expected.permute(1, 2, 0).numpy())


def test_grey_arrays_are_read_like_grey_files(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9), dtype=np.uint8)

    assert np.array_equal(decode_image(pixels, 16), decode_image(save(Image.fromarray(pixels), tmp_path / "g.png"), 16))
    assert np.array_equal(decode_image(pixels[..., None], 16), decode_image(pixels, 16))


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.int64), np.zeros((0, 4), np.uint8)],
)
def test_arrays_that_are_no_images_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(DataError, match="uint8"):
        decode_image(pixels, 8)


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + content


def photo() -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.experiment(22)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"not an image", "not an image"),
        (photo()[:-2000], "truncated"),
        (photo()[:40], "truncated|cannot be decoded|not an image"),
        (png_claiming(30_000, 30_000), r"at most 100,000,000 pixels \(900,000,000\)"),
        (png_claiming(9_000, 9_000), "cannot be decoded|truncated|broken"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)

    with pytest.raises(DataError, match=reason) as caught:
        decode_image(path, 16)
    assert str(path) in str(caught.value)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_pixel_cap_is_lower_than_pillows(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(png_claiming(11_000, 11_000))

    with pytest.raises(DataError, match=r"at most 100,000,000 pixels \(121,000,000\)"):
        decode_image(path, 16)


def test_missing_files_and_floating_point_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png: No such file"):
        decode_image(tmp_path / "gone.png", 16)
    path = save(Image.new("F", (8, 8), 0.5), tmp_path / "float.tiff")
    with pytest.raises(DataError, match=r"float\.tiff: floating-point"):
        decode_image(path, 16)
