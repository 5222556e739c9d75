"""The results of a mix as data and as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from jobs import Job
from sides import TITLES, Run

RATIOS = (("a", "c"), ("a", "d"), ("b", "c"))


Accuracies = Sequence[float]


def summarise(
    job: Job, rounds: Mapping[str, Sequence[Run]], reseeded: Mapping[str, Sequence[Accuracies]]
) -> dict[str, Any]:
    """Seconds, medians, ratios and final accuracies of the sides that ran.

    reseeded: side -> final accuracies by recipe with each further seed.
    """
    medians = {side: statistics.median(run.seconds for run in runs) for side, runs in rounds.items()}
    accuracies = {side: runs[-1].accuracies for side, runs in rounds.items()}
    return {
        "mix": job.name,
        "recipes": job.recipes,
        "epochs": job.epochs,
        "photos": {split: len(of) for split, of in job.photos.items()},
        "seconds": {side: [run.seconds for run in runs] for side, runs in rounds.items()},
        "medians": medians,
        "ratios": {f"{x}/{y}": medians[x] / medians[y] for x, y in RATIOS if x in medians and y in medians},
        "accuracies": accuracies,
        "against_a": {side: against(of, accuracies["a"]) for side, of in accuracies.items() if "a" in accuracies},
        "by_seed": {side: [accuracies[side], *of] for side, of in reseeded.items() if of},
    }


def against(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """How far two lists of accuracies are apart, recipe by recipe."""
    differences = [x - y for x, y in zip(ours, theirs, strict=True)]
    return {
        "largest": max(map(abs, differences)),
        "mean_absolute": statistics.fmean(map(abs, differences)),
        "mean": statistics.fmean(differences),
        "best": max(ours),
    }


def as_markdown(result: Mapping[str, Any], about: Mapping[str, str]) -> str:
    """Tables: seconds and ratios, accuracies by recipe, and what another seed does to them."""
    return "\n".join([*_heading(result, about), "", *_times(result), "", *_accuracies(result), *_seeds(result)])


def _heading(result: Mapping[str, Any], about: Mapping[str, str]) -> list[str]:
    photos = " + ".join(f"{count} {split}" for split, count in result["photos"].items())
    return [
        f"### {result['mix']}: {len(result['recipes'])} recipes x {result['epochs']} epochs, {photos} photos",
        "",
        f"{about['date']}; {about['machine']}; commit {about['commit']}",
    ]


def _times(result: Mapping[str, Any]) -> list[str]:
    lines = [
        "| side | wall seconds, median | each round | best accuracy | against (a) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for side, seconds in result["seconds"].items():
        each = ", ".join(f"{one:.1f}" for one in seconds)
        ratio = result["ratios"].get(f"a/{side}")
        sooner = f"{ratio:.1f} times sooner" if ratio else ""
        best = max(result["accuracies"][side])
        lines.append(f"| ({side}) {TITLES[side]} | {result['medians'][side]:.1f} | {each} | {best:.4f} | {sooner} |")
    return lines


def _accuracies(result: Mapping[str, Any]) -> list[str]:
    sides = list(result["accuracies"])
    lines = [f"| recipe | {' | '.join(f'({side})' for side in sides)} |", f"| --- |{' --- |' * len(sides)}"]
    for number, recipe in enumerate(result["recipes"]):
        values = " | ".join(f"{result['accuracies'][side][number]:.4f}" for side in sides)
        lines.append(f"| {_named(recipe)} | {values} |")
    for name in ("largest", "mean_absolute", "mean"):
        found = [result["against_a"].get(side) for side in sides]
        if any(found):
            cells = " | ".join(
                f"{of[name]:+.4f}" if of and side != "a" else "" for side, of in zip(sides, found, strict=True)
            )
            lines.append(f"| {name.replace('_', ' ')} difference from (a) | {cells} |")
    return lines


def _seeds(result: Mapping[str, Any]) -> list[str]:
    """By side, the mean over the recipes with each seed, and how far apart the seeds are."""
    lines = [
        "",
        "Mean of the recipes' accuracies with each seed, which all recipes of a side share:",
        "",
        "| side | seed by seed | mean of the seeds | standard deviation |",
        "| --- | --- | --- | --- |",
    ]
    for side, seeds in result["by_seed"].items():
        means = [statistics.fmean(of) for of in seeds]
        each = ", ".join(f"{mean:.3f}" for mean in means)
        lines.append(f"| ({side}) | {each} | {statistics.fmean(means):.3f} | {statistics.stdev(means):.3f} |")
    return lines if result["by_seed"] else []


def _named(recipe: Mapping[str, Any]) -> str:
    return (
        f"freeze {recipe['freeze_depth']}, {recipe['optimizer.name']} {recipe['optimizer.lr']:g}, "
        f"dropout {recipe['dropout.rate']:g}, {recipe['augment.policy']}"
    )
