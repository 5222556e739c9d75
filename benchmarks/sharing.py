"""The time of a sweep that computes shared work once, against contenders that compute it for every trial.

    python benchmarks/sharing.py [head|uniform|noop|all] [--rounds N] [--contenders a,b,c,d] [--seeds N] [--out FILE]

The contenders run one after another, round by round (a b c d, a b c d, ...), each a fresh process timed whole, with
the same explicit list of recipes (`mixes/`), split, epochs and seed:

    a  plain_tune.py: the code of a competent user of Ray Tune, timm, torchvision and MLflow
    b  careful_loop.py: frozen features by hand, then a loop over heads; only for mixes of linear probes
    c  `meltpoint run` with an empty home
    d  `meltpoint run` again, with the home that c left

`--seeds N` then runs the contenders b and d with further seeds, N in all, to show how accuracies vary with the seed.
`noop` compares trials that do nothing, see noop.py. Markdown tables go to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import machines
import mix_tables
import noop
from contenders import TITLES, Run, run_contender
from jobs import Job
from tiny import write_tiny

from search_spaces import load_spec

MIXES = ("head", "uniform")
SEEDED = ("b", "d")
"""The contenders that `--seeds` runs again; (a) would take as long as all others together."""


def main() -> None:
    """Run the chosen comparisons and print their tables."""
    options = _options()
    about = machines.describe()
    results: dict[str, Any] = {"about": about}
    for what in (*MIXES, "noop") if options.what == "all" else (options.what,):
        with tempfile.TemporaryDirectory(prefix="meltpoint-sharing-") as scratch:
            if what == "noop":
                result = noop.compare(rounds=options.rounds, plain_trials=options.plain_trials, tiny=options.tiny)
                text = noop.as_markdown(result, about)
            else:
                result = compare(what, options, Path(scratch))
                text = mix_tables.as_markdown(result, about)
        results[what] = result
        print(text, end="\n\n", flush=True)
        if options.out:
            options.out.write_text(json.dumps(results, indent=2))


def compare(name: str, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run a mix with each of its contenders."""
    mix = Path(__file__).parent / "mixes" / f"{name}.yaml"
    if options.tiny:
        mix = write_tiny(load_spec(mix), scratch)
    job_file = scratch / "job.json"
    say(f"{name}: splitting the photos")
    job = Job.from_spec(load_spec(mix), scratch=scratch / "prepared")
    job.write(job_file)
    probes = all(recipe["freeze_depth"] == job.stages for recipe in job.recipes)
    contenders = [contender for contender in options.contenders if contender != "b" or probes]
    rounds: dict[str, list[Run]] = {contender: [] for contender in contenders}
    for number in range(1, options.rounds + 1):
        home = scratch / f"home-{number}"
        for contender in contenders:
            say(f"{name}, round {number}/{options.rounds}, ({contender}) {TITLES[contender]}")
            folder = scratch / f"{contender}-{number}"
            folder.mkdir()
            run = run_contender(contender, mix=mix, job=job_file, folder=folder, home=home)
            say(f"  {run.seconds:.1f} s, best accuracy {max(run.accuracies):.4f}")
            rounds[contender].append(run)
    reseeded = _reseeded(options.seeds, contenders, mix=mix, job=job, scratch=scratch)
    return mix_tables.summarise(job, rounds, reseeded)


def _reseeded(
    count: int, contenders: Sequence[str], *, mix: Path, job: Job, scratch: Path
) -> dict[str, list[list[float]]]:
    """Return, by contender, the accuracies by recipe with each of the `count` - 1 seeds after the job's own."""
    by_contender: dict[str, list[list[float]]] = {contender: [] for contender in contenders if contender in SEEDED}
    for seed in range(job.seed + 1, job.seed + count):
        job_file = scratch / f"job-{seed}.json"
        replace(job, seed=seed).write(job_file)
        for contender, accuracies in by_contender.items():
            say(f"{job.name}, seed {seed}, ({contender}) {TITLES[contender]}")
            folder = scratch / f"{contender}-seed-{seed}"
            folder.mkdir()
            run = run_contender(contender, mix=mix, job=job_file, folder=folder, home=scratch / "home-1", seed=seed)
            accuracies.append(run.accuracies)
    return by_contender


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=(*MIXES, "noop", "all"), default="all")
    parser.add_argument("--rounds", type=int, default=1, help="how often each contender runs; medians are shown")
    parser.add_argument("--contenders", type=_contenders, default="a,b,c,d", help="such as a,c; d needs c before it")
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="run b and d with N seeds in all; only the first is timed"
    )
    parser.add_argument("--plain-trials", type=int, default=50, help="number of no-op trials of (a), scaled to 500")
    parser.add_argument("--tiny", action="store_true", help="two recipes, 64 photos, one epoch: to see that all works")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the results as JSON")
    return parser.parse_args()


def _contenders(text: str) -> list[str]:
    contenders = text.split(",")
    if not set(contenders) <= set(TITLES) or ("d" in contenders and "c" not in contenders[: contenders.index("d")]):
        raise argparse.ArgumentTypeError(f"must be some of {','.join(TITLES)}, with d after c ({text})")
    return contenders


if __name__ == "__main__":
    main()
