"""Time to list images and to find their copies, and to decode a folder against Parquet files with the same images.

    python benchmarks/reading.py [--images 100000] [--decoded 20000] [--rounds 3]

Images are pictures of coarse and fine structure, 160 px, saved as JPEG; a hundredth are copies saved with another
quality. All times are wall seconds on this machine; `decoding` runs on all cores.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image

from search_spaces import DataSpec
from trainables.datasets.images import read_image, resize_image
from trainables.datasets.sources import load_table
from trainables.stores.copies import THUMBNAIL, find_copies, make_thumbnail
from trainables.stores.prepared import prepare_data

_SIZE = 128
_SHARD_ROWS = 2000


def main() -> None:
    """Write the images, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--decoded", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _measure_copies(Path(folder), options.images)
        _measure_parquet(Path(folder), options.decoded, options.rounds)


def _encoded(count: int) -> Iterator[bytes]:
    generator = np.random.default_rng(0)
    for number in range(count):
        if number % 100 != 99:
            coarse = Image.fromarray(generator.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((160, 160))
            fine = Image.fromarray(generator.integers(0, 256, (40, 40, 3), dtype=np.uint8)).resize((160, 160))
            picture = Image.blend(coarse, fine, 0.3)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=60 if number % 100 == 99 else 90)
        yield stream.getvalue()


def _measure_copies(folder: Path, count: int) -> None:
    for label in ("a", "b"):
        (folder / "photos" / label).mkdir(parents=True)
    for number, content in enumerate(_encoded(count)):
        (folder / "photos" / "ab"[number * 2 // count] / f"{number:06d}").write_bytes(content)
    began = time.perf_counter()
    table = load_table(str(folder / "photos"), base_dir=folder)
    listed = time.perf_counter() - began
    thumbnails = np.zeros((count, THUMBNAIL, THUMBNAIL), dtype=np.uint8)
    decoding = hashing = 0.0
    for row, source in enumerate(table.images):
        began = time.perf_counter()
        picture = read_image(source)
        resize_image(picture, _SIZE, "bilinear")
        decoding += time.perf_counter() - began
        began = time.perf_counter()
        thumbnails[row] = make_thumbnail(picture)
        hashing += time.perf_counter() - began
    began = time.perf_counter()
    groups = find_copies(np.arange(count, dtype=np.uint64), thumbnails)
    finding = time.perf_counter() - began
    copies = int(np.sum(groups != np.arange(count)))
    print(f"{count:,} images without a suffix: listed in {listed:.1f} s, decoding {decoding:.1f} s of one core,")
    print(f"thumbnails {hashing:.1f} s of one core, copies found in {finding:.1f} s: {copies:,} of {count // 100:,}")


def _measure_parquet(folder: Path, count: int, rounds: int) -> None:
    contents = list(_encoded(count))
    for label in ("a", "b"):
        (folder / "same" / label).mkdir(parents=True)
    (folder / "shards").mkdir()
    for number, content in enumerate(contents):
        (folder / "same" / "ab"[number * 2 // count] / f"{number:06d}.jpg").write_bytes(content)
    for start in range(0, count, _SHARD_ROWS):
        rows = range(start, min(count, start + _SHARD_ROWS))
        columns = {
            "image": [{"bytes": contents[row], "path": None} for row in rows],
            "label": ["ab"[row * 2 // count] for row in rows],
        }
        file = folder / "shards" / f"{start:06d}.parquet"
        pyarrow.parquet.write_table(pyarrow.table(columns), file, row_group_size=100)
    seconds: dict[str, list[float]] = {"same": [], "shards": []}
    for number in range(rounds):
        for source in ("same", "shards") if number % 2 else ("shards", "same"):
            spec = DataSpec(source=str(folder / source), image_size=_SIZE)
            with tempfile.TemporaryDirectory(dir=folder) as root:
                began = time.perf_counter()
                prepare_data(spec, base_dir=folder, root=Path(root))
                seconds[source].append(time.perf_counter() - began)
    medians = {source: statistics.median(times) for source, times in seconds.items()}
    print(f"{count:,} images prepared at {_SIZE} px, medians of {rounds}: from a folder {medians['same']:.1f} s, ")
    print(f"from Parquet files {medians['shards']:.1f} s ({medians['shards'] / medians['same']:.2f} times)")


if __name__ == "__main__":
    main()
