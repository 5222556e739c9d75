"""The memory that training needs if its images take ten times the memory budget.

    python benchmarks/streamed_memory.py --budget 300MB

The script writes small JPEG files whose decoded form takes `--factor` times the budget, and prepares them with
`data.memory` set to the budget. Then it reads every image the way an epoch does (in random order, in batches, a view of
each), trains an epoch on one image in twenty, and prints the growth of the process's peak memory after the same work on
a streamed warm-up set of 512 images. The exit code is 1 if the growth is more than the budget. With `--decoded` the set
is kept decoded and mapped instead, which shows how much streaming saves.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from search_spaces import DataSpec, Recipe
from search_spaces.documents import format_size, parse_size
from trainables.augmentations import draw_views
from trainables.stores.prepared import PreparedData, prepare_data
from trainables.training.trainer import Trainer

SOURCE_PIXELS = 48
WARM_UP_IMAGES = 512
WARM_UP_TRAIN_EVERY, TRAIN_EVERY, VAL_EVERY = 4, 20, 100
BATCH = 32


def main() -> int:
    """Measure and print; return exit code 0 if the budget was kept, else 1."""
    options = _options()
    size, budget = options.image_size, parse_size(options.budget)
    images = -(-options.factor * budget // (size * size * 3))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm = _write_set(folder / "warm", WARM_UP_IMAGES, train_every=WARM_UP_TRAIN_EVERY)
        warm_up = DataSpec(source=str(warm), image_size=size, memory=1)
        _use(prepare_data(warm_up, base_dir=folder, root=folder / "prepared"))
        before = _peak_bytes()
        memory = None if options.decoded else budget
        started = time.perf_counter()
        spec = DataSpec(
            source=str(_write_set(folder / "large", images, train_every=TRAIN_EVERY)), image_size=size, memory=memory
        )
        written = time.perf_counter()
        data = prepare_data(spec, base_dir=folder, root=folder / "prepared")
        prepared = time.perf_counter()
        _use(data)
        trained = time.perf_counter()
    growth = _peak_bytes() - before
    print(f"{images:,} images at {size} px, {data.mode}; decoded: {format_size(images * size * size * 3)}")
    print(f"written in {written - started:.0f} s, prepared in {prepared - written:.0f} s, ", end="")
    print(f"read once and trained in {trained - prepared:.0f} s")
    print(f"peak memory {format_size(before)} after the warm-up, grew by {format_size(growth)}; ", end="")
    print(f"budget {format_size(budget)}: {'kept' if growth <= budget else 'exceeded'}")
    return 0 if growth <= budget else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", default="300MB", help="memory for the images")
    parser.add_argument("--factor", type=int, default=10, help="decoded size over budget")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--decoded", action="store_true", help="keep the images decoded, for comparison")
    return parser.parse_args()


def _write_set(folder: Path, images: int, *, train_every: int) -> Path:
    """Write a manifest of `images` photos of noise, two classes by brightness; most are in the test split."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    rows = ["image,label,split"]
    for row in range(images):
        noise = generator.integers(0, 128, (SOURCE_PIXELS, SOURCE_PIXELS, 3), dtype=np.uint8)
        Image.fromarray(noise + np.uint8(127 * (row % 2))).save(folder / f"{row:06d}.jpg")
        split = "val" if row // 2 % VAL_EVERY == 1 else "train" if row // 2 % train_every == 0 else "test"
        rows.append(f"{row:06d}.jpg,{('dark', 'bright')[row % 2]},{split}")
    (folder / "list.csv").write_text("\n".join(rows))
    return folder / "list.csv"


def _use(data: PreparedData) -> None:
    order = np.random.default_rng(0).permutation(len(data.labels))
    for rows in np.split(order, range(BATCH, len(order), BATCH)):
        images = torch.from_numpy(data.images[rows]).permute(0, 3, 1, 2)
        draw_views(images, data.digests[rows], seed=0, policy="flip", view=0)
    recipe = Recipe.from_flat({"weights": "random", "batch_size": BATCH, "augment.policy": "flip"})
    Trainer(data, recipe, seed=0).run_epoch()


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
