"""Show the plan of a sweep, as text or as plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from search_spaces import format_metric, varying_names
from search_spaces.backbones import written_freeze_depth
from search_spaces.documents import format_size
from search_spaces.sweeps import LATENCY, PARAMETER_COUNT
from service.clusters import memory_available
from service.commands.files.algorithms import describe_algorithm
from service.formats import Format, counted
from service.ledgers import Json
from service.objectives import ModelCosts
from service.plans.sweep_plans import SweepPlan, WeightsNeed
from service.reports import data_notes, heading, recipe_cell
from service.terminals import print_data, print_table, stdout
from trainables.datasets import SPLITS, source_facts

CLASSES_SHOWN = 20
_COST_HEADINGS = (f"{PARAMETER_COUNT} without the head", LATENCY)
ERROR_SEEN = (
    "an estimate: on a machine busy with other work, epochs trained right after it took 22 % less to 29 % more than "
    "foreseen, and those of a sweep during which that other work doubled 71 % more"
)


def show_plan(made: SweepPlan, recipes: int, form: Format) -> None:
    """Print a plan on stdout, with up to `recipes` of its recipes."""
    if form is Format.CSV:
        print_data(_recipes(made, recipes), form)
    elif form is not Format.TABLE:
        print_data(as_json(made, recipes), form)
    else:
        _print(made, recipes)


def as_json(made: SweepPlan, recipes: int) -> Json:
    """Return the contract of `plan -o json`; all times in seconds, all sizes in bytes."""
    survey, allotment, spec = made.survey, made.allotment, made.spec
    return {
        "name": spec.name,
        "space": {
            "size": made.size,
            "algorithm": spec.search.algorithm,
            "trials": made.trials_planned,
            "first_points": made.first_points,
        },
        "recipes": _recipes(made, recipes),
        "cautions": [{"text": caution.text, "paper": caution.paper} for caution in made.cautions],
        "data": {
            "name": survey.table.name,
            "images": len(survey.table.images),
            "image_size": spec.data.image_size,
            "classes": survey.counts,
            "mode": survey.plan.mode,
            "decoded_bytes": survey.plan.decoded_bytes,
            "reason": survey.plan.reason,
            "prepared": survey.prepared,
            **source_facts(survey.table),
        },
        "earlier": None if made.earlier is None else made.earlier.as_json(),
        "weights": [dataclasses.asdict(need) for need in made.weights],
        "slow_formats": list(made.slow_formats),
        "models": [] if made.costs is None else made.costs.as_json()["models"],
        "resources": {"slots": allotment.slots, "cpu": allotment.cpu, "gpu": allotment.gpu, "device": allotment.device},
        "measured": {
            "seconds": made.measured.seconds,
            "data": dataclasses.asdict(made.measured.data),
            "stages": [dataclasses.asdict(costs) for costs in made.measured.stages],
        },
        "sharing": [dataclasses.asdict(work) for work in made.sharing.work],
        "estimate": {
            "preparing_seconds": made.preparing,
            "most_seconds": made.seconds(made.most),
            "likely_seconds": made.seconds(made.likely),
            "most_epochs": made.epochs(made.most),
            "likely_epochs": made.epochs(made.likely),
            "trial_bytes": made.trial_bytes,
        },
    }


def _recipes(made: SweepPlan, most: int) -> list[Json]:
    pairs = list(zip(made.recipes, made.trials, strict=True))[:most]
    return [
        {"recipe": recipe.flat(), "epoch_seconds": costs.epoch, "bytes": made.process_bytes + costs.memory}
        for recipe, costs in pairs
    ]


def _print(made: SweepPlan, recipes: int) -> None:
    console = stdout()

    def title(text: str) -> None:
        console.print(f"\n{text}", style="bold", markup=False, soft_wrap=True)

    def lines(texts: Iterator[str]) -> None:
        for text in texts:
            console.print(text, markup=False, soft_wrap=True)

    spec = made.spec
    console.print(f"{spec.name}: {_space(made)}", markup=False, soft_wrap=True)
    shown = min(recipes, len(made.recipes))
    title(f"{counted(shown, 'recipe')}, the {'points' if made.first_points else 'default'} first")
    print_table(*_recipe_table(made, recipes))
    lines(f"careful: {caution.text} ({caution.paper})" for caution in made.cautions)
    if made.earlier is not None:
        title("from earlier sweeps")
        lines(made.earlier.lines(spec))
    title("data")
    print_table(["class", *SPLITS], list(_class_rows(made)))
    lines(_data(made))
    title("what trials share")
    lines(_shared(made))
    title("weights")
    lines(_weights(need) for need in made.weights)
    if made.costs is not None:
        title("models")
        print_table(["backbone", "pool", *_COST_HEADINGS], list(_model_rows(made.costs)))
        lines(line for line in (made.costs.describe_machine(), *made.warnings) if line)
    title("machine")
    lines(_machine(made))
    title(f"estimate, from {made.measured.seconds:.0f} s of measuring here and now")
    lines(_estimate(made))


def _space(made: SweepPlan) -> str:
    spec, trials = made.spec, made.trials_planned
    size = "of a space with continuous ranges" if made.size is None else f"of {_many(made.size, 'recipe')}"
    chosen = describe_algorithm(spec, size, trials=trials)
    return f"{counted(trials, 'trial')}{chosen}, up to {counted(spec.budget.epochs, 'epoch')} each"


def _recipe_table(made: SweepPlan, most: int) -> tuple[list[str], list[list[str]]]:
    flats = [recipe.flat() for recipe in made.recipes]
    names = varying_names(made.spec)
    rows = [
        [
            str(number),
            seconds_text(costs.epoch),
            format_size(made.process_bytes + costs.memory),
            *(recipe_cell(flat, name) for name in names),
        ]
        for number, (flat, costs) in enumerate(zip(flats, made.trials, strict=True))
    ]
    return ["trial", "an epoch", "memory", *map(heading, names)], rows[:most]


def _class_rows(made: SweepPlan) -> Iterator[list[str]]:
    counts = made.survey.counts
    for name, images in list(counts.items())[:CLASSES_SHOWN]:
        yield [name, *(str(images[split]) for split in SPLITS)]
    if len(counts) > CLASSES_SHOWN:
        yield [f"... {len(counts) - CLASSES_SHOWN} more", *("" for _ in SPLITS)]
    yield ["all", *(str(made.survey.images(split)) for split in SPLITS)]


def _data(made: SweepPlan) -> Iterator[str]:
    survey = made.survey
    yield f"{survey.table.name}: {survey.plan.reason}"
    yield from data_notes(source_facts(survey.table))
    if survey.plan.mode == "streamed":
        yield "they are streamed: decoded again in every epoch, and not kept"
    elif survey.prepared:
        yield "they are decoded already"
    else:
        yield f"they are decoded once, in about {seconds_text(made.preparing)}, and kept for later sweeps"


def _shared(made: SweepPlan) -> Iterator[str]:
    if not made.sharing.work:
        yield "decoded images; nothing is frozen"
    verbs = {
        "kept": "computed once and kept",
        "read": "computed each time, unless an earlier sweep kept them",
        "computed": "computed each time",
    }
    for work in sorted(made.sharing.work, key=lambda work: (work.backbone, work.boundary, work.policy or "")):
        views = f"views of {work.policy}" if work.policy else "validation images"
        size = f", {format_size(work.size)}" if work.mode == "kept" else ""
        depth = written_freeze_depth(work.boundary, backbone=work.backbone)
        yield f"freeze_depth {depth}, {views}: {verbs[work.mode]}{size} ({work.reason})"
    if made.sharing.once:
        yield f"computing what is kept takes {seconds_text(made.sharing.once / made.allotment.slots)} in all"


def _weights(need: WeightsNeed) -> str:
    if need.weights == "random":
        how = "drawn at random"
    elif need.download:
        how = f"about {format_size(need.download)} to download; plan does not download them"
    else:
        how = "at hand"
    return f"{need.backbone} {need.weights}: {how}"


def _model_rows(costs: ModelCosts) -> Iterator[list[str]]:
    for model in costs.models:
        latency = "" if model.latency_ms is None else format_metric(LATENCY, model.latency_ms)
        parameters = format_metric(PARAMETER_COUNT, model.parameters)
        yield [model.backbone, model.pool, parameters, latency]


def _machine(made: SweepPlan) -> Iterator[str]:
    allotment = made.allotment
    share = f" and {allotment.gpu:g} GPU" if allotment.gpu else ""
    cores = "1 core" if allotment.cpu == 1 else f"{allotment.cpu:g} cores"
    yield f"{counted(allotment.slots, 'trial')} at once on {allotment.device}, {cores}{share} each"
    need = allotment.slots * made.trial_bytes
    free, _ = memory_available()
    if allotment.device == "cpu" and need > free:
        yield f"together they need {format_size(need)} of memory, {format_size(free)} are free: raise resources.cpu"
    yield from made.slow_formats


def _estimate(made: SweepPlan) -> Iterator[str]:
    most, likely, wall = made.seconds(made.most), made.seconds(made.likely), made.spec.budget.wall
    yield f"training takes at most {seconds_text(most)}: {_many(made.epochs(made.most), 'epoch')}"
    if made.epochs(made.likely) < made.epochs(made.most):
        stopped = made.likely.stopped / len(made.recipes)
        yield (
            f"about {seconds_text(likely)} if {made.spec.scheduler.type} stops {stopped:.0%} of the trials early, as "
            f"it does where trials rank at random: {_many(made.epochs(made.likely), 'epoch')}"
        )
    if wall is not None and wall < most:
        yield f"budget.wall ends it after {seconds_text(wall)}"
    before = f", of which {format_size(made.process_bytes)} before it trains" if made.process_bytes else ""
    yield f"a trial needs at most {format_size(made.trial_bytes)} of memory{before}"
    yield ERROR_SEEN


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def seconds_text(seconds: float) -> str:
    """Return a duration such as `0.42 s`, `17 s`, `3 m 20 s`, `5 h 10 m`."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} m"
