"""The cost of a larger sweep: trials x1, x4, x16; images x1, x4; and a cache bounded to a tenth of its full size.

    python benchmarks/growth.py

The trials are linear probes of the solar-cell photos at 128 px, two epochs each, drawn at random over three optimizers
and three augmentations. The table shows seconds, images computed, the cache's size on disk and the peak memory of the
largest worker.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import machines
import psutil
from contenders import HERE, MELTPOINT, run_json

from trainables.activations import find_entries
from trainables.datasets.sources import load_table

TRIAL = "sweep:trial"
SPEC = """\
name: growth
data: {{source: {source}, image_size: 128, cache: {cache}}}
space:
  backbone: timm/tf_efficientnet_lite0
  freeze_depth: all
  optimizer:
    one_of:
      - {{name: sgd, lr: {{min: 1.0e-3, max: 1.0e-1, log: true}}}}
      - {{name: nesterov, lr: {{min: 1.0e-3, max: 1.0e-1, log: true}}}}
      - {{name: adam, lr: {{min: 1.0e-4, max: 1.0e-2, log: true}}}}
  dropout.rate: {{min: 0.0, max: 0.5}}
  augment.policy: {{values: [none, flip, lecture7]}}
search: {{algorithm: random, seed: 0}}
budget: {{trials: {trials}, epochs: 2}}
resources: {{cpu: 1, gpu: 0}}
"""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """The cost of a sweep, and its accuracies by trial: a bounded cache changes none of them."""

    wall: float
    computed: int
    cache: int
    memory: int
    accuracies: dict[str, float]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    about = machines.describe()
    print(f"growth, {about['date']}, {about['machine']}, commit {about['commit']}\n")
    print("| trials | images | cache bound | seconds | images computed | cache on disk | worker's peak memory |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="meltpoint-growth-") as scratch:
        root = Path(scratch)
        for trials in (6, 24, 96):
            growth = _sweep(root / f"t{trials}", "elpv", trials)
            print(_row(trials, "2,624", "none", growth), flush=True)
            if trials == 24:
                whole = growth
        for step, images in ((4, "656"), (1, "2,624")):
            growth = _sweep(root / f"i{step}", _manifest(root, step), 24)
            print(_row(24, images, "none", growth), flush=True)
        bound = whole.cache // 10
        tight = _sweep(root / "tight", "elpv", 24, cache=str(bound))
        print(_row(24, "2,624", f"{bound / 1e6:.1f} MB", tight), flush=True)
        print(f"\nwith the bound every trial's accuracy is the same: {tight.accuracies == whole.accuracies}")


def _row(trials: int, images: str, bound: str, growth: Growth) -> str:
    cells = [
        f"{growth.wall:.1f}",
        f"{growth.computed:,}",
        f"{growth.cache / 1e6:.1f} MB",
        f"{growth.memory / 2**20:.0f} MiB",
    ]
    return f"| {trials} | {images} | {bound} | {' | '.join(cells)} |"


def _manifest(root: Path, step: int) -> str:
    """Write a manifest of every `step`-th photo."""
    table = load_table("elpv", base_dir=root, root=None)
    path = root / f"every-{step}.csv"
    lines = [
        f"{image},{table.classes[label]}"
        for image, label in zip(table.images[::step], table.labels[::step].tolist(), strict=True)
    ]
    path.write_text("\n".join(["image,label", *lines]))
    return f"{path}, root: {Path(str(table.images[0])).parents[1]}"


def _sweep(folder: Path, source: str, trials: int, cache: str = "50G") -> Growth:
    folder.mkdir(parents=True)
    (folder / "spec.yaml").write_text(SPEC.format(source=source, trials=trials, cache=cache))
    home = folder / "home"
    print(f"{trials} trials, {source}, cache {cache}", file=sys.stderr, flush=True)
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "MELTPOINT_HOME": str(home)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.perf_counter()
    command = [*MELTPOINT, "run", str(folder / "spec.yaml"), "-o", "json"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        peak = _Peak(process.pid)
        peak.start()
        printed = process.communicate()[0].decode()
        wall = time.perf_counter() - started
        peak.ended.set()
        peak.join()
    outcome = json.loads(printed[printed.index("{") :])
    _, rows = run_json([*MELTPOINT, "trials", outcome["sweep_id"], "-o", "json"], home)
    return Growth(
        wall=wall,
        computed=sum(row["sharing"]["computed"] for row in rows),
        cache=sum(entry.size for entry in find_entries(home / "activations")),
        memory=peak.most,
        accuracies={row["trial_id"].rpartition("-")[2]: row["metrics"]["val/accuracy"] for row in rows},
    )


class _Peak(threading.Thread):
    """The largest resident set among the trials' processes below a process, sampled twice a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.most, self.ended, self._root = 0, threading.Event(), psutil.Process(pid)

    def run(self) -> None:
        while not self.ended.wait(0.5):
            try:
                for child in self._root.children(recursive=True):
                    if child.name() == TRIAL:
                        self.most = max(self.most, child.memory_info().rss)
            except psutil.Error:
                continue


if __name__ == "__main__":
    main()
