"""Sets of images from files that installed packages ship, so that tests need no download.

- folder: tiles of china.jpg and flower.jpg, scikit-learn's two sample photos;
- CSV: tiles of grace_hopper.jpg, Minduka_Present_Blue_Pack.png (transparent) and logo2.png, matplotlib's samples;
- Parquet: letters in DejaVu Sans, Serif and Sans Mono, matplotlib's fonts; a letter stays in one split;
- hub: the portrait and the present again, as the `datasets` package writes sets of the Hugging Face hub;
- odd files: scikit-learn's photos again, in every unusual way that an image file can hold them.
"""

from __future__ import annotations

import string
import struct
import zlib
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_images

TILE = 48
MATPLOTLIB = Path(mpl.get_data_path())


def tiles(image: Image.Image, count: int) -> list[Image.Image]:
    """Return the first `count` squares of an image, row by row; the image is enlarged if it has fewer."""
    columns = int(np.ceil(np.sqrt(count)))
    large = image.resize((columns * TILE, columns * TILE))
    corners = [(column * TILE, row * TILE) for row in range(columns) for column in range(columns)]
    return [large.crop((x, y, x + TILE, y + TILE)) for x, y in corners[:count]]


def photos_in_folders(root: Path) -> str:
    """Write two class folders of 60 JPEG files; return the `data` section for them, like the functions below."""
    bunch = load_sample_images()
    for pixels, name in zip(bunch.images, ("china", "flower"), strict=True):
        (root / name).mkdir(parents=True)
        for number, tile in enumerate(tiles(Image.fromarray(pixels), 60)):
            tile.save(root / name / f"{number:02d}.jpg")
    return f"{{source: {root.name}, image_size: 32}}"


def pictures_in_csv(root: Path) -> str:
    """Write three classes of 40 PNG files, with their splits in the manifest."""
    root.mkdir()
    rows = ["image,label,split"]
    files = {"portrait": "grace_hopper.jpg", "present": "Minduka_Present_Blue_Pack.png", "logo": "logo2.png"}
    for label, file in files.items():
        with Image.open(MATPLOTLIB / "sample_data" / file) as image:
            for number, tile in enumerate(tiles(image, 40)):
                tile.save(root / f"{label}-{number}.png")
                rows.append(f"{label}-{number}.png,{label},{('train', 'val', 'train', 'test')[number % 4]}")
    (root / "list.csv").write_text("\n".join(rows))
    return f"{{source: {root.name}/list.csv, image_size: 32}}"


def letters_in_parquet(root: Path) -> str:
    """Write three classes of 52 grey PNG files, grouped by letter."""
    root.mkdir()
    images, labels, letters = [], [], []
    for face in ("Sans", "Serif", "SansMono"):
        font = ImageFont.truetype(MATPLOTLIB / "fonts" / "ttf" / f"DejaVu{face}.ttf", 32)
        for letter in string.ascii_letters:
            canvas = Image.new("L", (TILE, TILE), 255)
            ImageDraw.Draw(canvas).text((TILE / 2, TILE / 2), letter, font=font, anchor="mm")
            images.append(f"{face}-{ord(letter)}.png")
            canvas.save(root / images[-1])
            labels.append(face)
            letters.append(letter)
    table = pyarrow.table({"image": images, "label": labels, "letter": letters})
    pyarrow.parquet.write_table(table, root / "list.parquet")
    return f"{{source: {root.name}/list.parquet, image_size: 32, split: {{group: letter}}}}"


def tiles_of_the_hub(root: Path) -> str:
    """Write two classes of 40 images with the `datasets` package: Parquet shards of the splits train and test."""
    from datasets import Dataset  # takes two seconds, and only this set needs it
    from datasets import Image as ImageFeature

    files = ("grace_hopper.jpg", "Minduka_Present_Blue_Pack.png")
    images = [tile for file in files for tile in tiles(Image.open(MATPLOTLIB / "sample_data" / file), 40)]
    labels = [name for name in ("portrait", "present") for _ in range(40)]
    whole = Dataset.from_dict({"image": images, "label": labels}).cast_column("image", ImageFeature())
    (root / "data").mkdir(parents=True)
    for split, part in whole.class_encode_column("label").train_test_split(test_size=0.25, seed=0).items():
        for number in range(2):
            part.shard(2, number).to_parquet(root / "data" / f"{split}-{number:05d}-of-00002.parquet")
    return f"{{source: {root.name}, image_size: 32}}"


def png_16_bit(path: Path, pixels: np.ndarray) -> None:
    """Encode 16-bit RGB, (H, W, 3) uint16, which Pillow cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = pixels.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def odd_files(folder: Path, photo: Image.Image) -> None:
    """Write a photo in every unusual way that an image file can hold it."""
    folder.mkdir(parents=True)
    pixels = np.asarray(photo)
    grey = np.asarray(photo.convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(folder / "16-bit-grey.png")
    Image.fromarray(grey).save(folder / "16-bit-grey.tiff")
    Image.fromarray(grey.astype(np.int32)).save(folder / "32-bit-grey.tiff")
    png_16_bit(folder / "16-bit-rgb.png", pixels.astype(np.uint16) * 257)
    photo.quantize(256).save(folder / "palette.png")
    photo.quantize(256).save(folder / "palette.gif")
    photo.convert("CMYK").save(folder / "cmyk.jpg", quality=98)
    photo.convert("CMYK").save(folder / "cmyk.tiff")
    photo.convert("LA").save(folder / "grey-alpha.png")
    photo.convert("RGBA").save(folder / "rgba.webp", lossless=True)
    photo.convert("1").save(folder / "bilevel.png")
    photo.save(folder / "jpeg2000.jp2")
    photo.save(folder / "upper.BMP")
    turns = {1: [], 2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}
    for orientation, undo in turns.items():
        turned = photo
        for method in undo:
            turned = turned.transpose(Image.Transpose(method))
        exif = Image.Exif()
        exif[0x0112] = orientation
        for suffix in ("jpg", "png", "webp", "tiff"):
            options = {"quality": 98} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
            turned.save(folder / f"exif-{orientation}.{suffix}", exif=exif, **options)


def odd_files_in_folders(root: Path) -> str:
    """Write two classes of 45 files: 16 and 32 bits, palettes, CMYK, alpha, 1 bit, JPEG 2000, all EXIF orientations."""
    for photo, name in zip(load_sample_images().images, ("china", "flower"), strict=True):
        odd_files(root / name, Image.fromarray(photo).resize((64, 48)))
    return f"{{source: {root.name}, image_size: 32, split: {{copies: ignore}}}}"  # they show two pictures
