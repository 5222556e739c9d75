"""Time to list images and to find their copies, and to decode a folder against other files with the same images.

    python benchmarks/reading.py [--images 100000] [--decoded 20000] [--rounds 3]

Images are pictures of coarse and fine structure, 160 px, saved as JPEG; a hundredth are copies saved with another
quality. All times are wall seconds on this machine; `decoding` runs on all cores.
"""

from __future__ import annotations

import argparse
import io
import shutil
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
        _measure_sources(Path(folder), options.decoded, options.rounds)


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


def _measure_sources(folder: Path, count: int, rounds: int) -> None:
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
    for kind, container in (("zip", "zip"), ("tar", "tar"), ("gztar", "tar.gz")):
        assert shutil.make_archive(str(folder / "same"), kind, folder / "same").endswith(f".{container}")
    sources = {
        "a folder": "same",
        "Parquet files": "shards",
        "a zip file": "same.zip",
        "a tar file": "same.tar",
        "a tar.gz file": "same.tar.gz",
    }
    for name, source in sources.items():
        listing, reading = _read_all(folder / source)
        print(f"{count:,} images from {name:<14} listed in {listing:.2f} s, read in {reading:.2f} s of one core")
    seconds: dict[str, list[float]] = {source: [] for source in sources.values()}
    for number in range(rounds):
        for source in list(seconds)[:: 1 if number % 2 else -1]:
            spec = DataSpec(source=str(folder / source), image_size=_SIZE)
            with tempfile.TemporaryDirectory(dir=folder) as root:
                began = time.perf_counter()
                prepare_data(spec, base_dir=folder, root=Path(root))
                seconds[source].append(time.perf_counter() - began)
    medians = {source: statistics.median(times) for source, times in seconds.items()}
    print(f"{count:,} images prepared at {_SIZE} px, medians of {rounds}:")
    for name, source in sources.items():
        print(f"  from {name:<14} {medians[source]:5.1f} s ({medians[source] / medians['same']:.2f} times a folder)")


def _read_all(source: Path) -> tuple[float, float]:
    """Return the seconds of one core in which the images of a source are listed, and their files are read."""
    began = time.process_time()
    table = load_table(str(source), base_dir=source.parent)
    listed = time.process_time()
    for image in table.images:
        if isinstance(image, Path):
            image.read_bytes()
        elif not isinstance(image, np.ndarray):
            image.read()
    return listed - began, time.process_time() - listed


if __name__ == "__main__":
    main()
