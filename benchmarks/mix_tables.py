"""The results of a mix as data and as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from contenders import TITLES, Run
from jobs import Job

RATIOS = (("a", "c"), ("a", "d"), ("b", "c"))


Accuracies = Sequence[float]


def summarise(
    job: Job, rounds: Mapping[str, Sequence[Run]], reseeded: Mapping[str, Sequence[Accuracies]]
) -> dict[str, Any]:
    """Return seconds, medians, ratios and final accuracies of the contenders that ran.

    reseeded: contender -> final accuracies by recipe with each further seed.
    """
    medians = {contender: statistics.median(run.seconds for run in runs) for contender, runs in rounds.items()}
    accuracies = {contender: runs[-1].accuracies for contender, runs in rounds.items()}
    return {
        "mix": job.name,
        "recipes": job.recipes,
        "epochs": job.epochs,
        "photos": {split: len(photos) for split, photos in job.photos.items()},
        "seconds": {contender: [run.seconds for run in runs] for contender, runs in rounds.items()},
        "medians": medians,
        "ratios": {f"{x}/{y}": medians[x] / medians[y] for x, y in RATIOS if x in medians and y in medians},
        "accuracies": accuracies,
        "against_a": {
            contender: against(values, accuracies["a"]) for contender, values in accuracies.items() if "a" in accuracies
        },
        "by_seed": {contender: [accuracies[contender], *further] for contender, further in reseeded.items() if further},
    }


def against(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Return the differences of two lists of accuracies, recipe by recipe."""
    differences = [x - y for x, y in zip(ours, theirs, strict=True)]
    return {
        "largest": max(map(abs, differences)),
        "mean_absolute": statistics.fmean(map(abs, differences)),
        "mean": statistics.fmean(differences),
        "best": max(ours),
    }


def as_markdown(result: Mapping[str, Any], about: Mapping[str, str]) -> str:
    """Return three tables: seconds and ratios, accuracies by recipe, and accuracies by seed."""
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
        "| contender | wall seconds, median | each round | best accuracy | against (a) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for contender, seconds in result["seconds"].items():
        each = ", ".join(f"{wall:.1f}" for wall in seconds)
        ratio = result["ratios"].get(f"a/{contender}")
        sooner = f"{ratio:.1f} times sooner" if ratio else ""
        best = max(result["accuracies"][contender])
        median = result["medians"][contender]
        lines.append(f"| ({contender}) {TITLES[contender]} | {median:.1f} | {each} | {best:.4f} | {sooner} |")
    return lines


def _accuracies(result: Mapping[str, Any]) -> list[str]:
    contenders = list(result["accuracies"])
    lines = [
        f"| recipe | {' | '.join(f'({contender})' for contender in contenders)} |",
        f"| --- |{' --- |' * len(contenders)}",
    ]
    for number, recipe in enumerate(result["recipes"]):
        values = " | ".join(f"{result['accuracies'][contender][number]:.4f}" for contender in contenders)
        lines.append(f"| {_named(recipe)} | {values} |")
    for name in ("largest", "mean_absolute", "mean"):
        each_gaps = [result["against_a"].get(contender) for contender in contenders]
        if any(each_gaps):
            cells = " | ".join(
                f"{gaps[name]:+.4f}" if gaps and contender != "a" else ""
                for contender, gaps in zip(contenders, each_gaps, strict=True)
            )
            lines.append(f"| {name.replace('_', ' ')} difference from (a) | {cells} |")
    return lines


def _seeds(result: Mapping[str, Any]) -> list[str]:
    """Return the table of each contender's mean over the recipes by seed, and its spread over the seeds."""
    lines = [
        "",
        "Mean of the recipes' accuracies with each seed, which all recipes of a contender share:",
        "",
        "| contender | seed by seed | mean of the seeds | standard deviation |",
        "| --- | --- | --- | --- |",
    ]
    for contender, seeds in result["by_seed"].items():
        means = [statistics.fmean(values) for values in seeds]
        each = ", ".join(f"{mean:.3f}" for mean in means)
        lines.append(f"| ({contender}) | {each} | {statistics.fmean(means):.3f} | {statistics.stdev(means):.3f} |")
    return lines if result["by_seed"] else []


def _named(recipe: Mapping[str, Any]) -> str:
    return (
        f"freeze {recipe['freeze_depth']}, {recipe['optimizer.name']} {recipe['optimizer.lr']:g}, "
        f"dropout {recipe['dropout.rate']:g}, {recipe['augment.policy']}"
    )
