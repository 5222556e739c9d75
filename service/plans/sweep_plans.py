"""Plans of sweeps: recipes, data, weights, machine, time and memory, without training or writing anything."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
import torch

from search_spaces import BACKBONES, Recipe, SweepSpec, weights_used
from search_spaces.recipes import Caution, cautions
from service.clusters import Allotment, Machine
from service.clusters.gpu_shares import share_out
from service.ledgers import Json
from service.objectives import ModelCosts, Objectives, check_limits
from service.plans.admission import check_own_code, check_parts, check_precisions
from service.plans.costs import measure_models
from service.plans.earlier_sweeps import EarlierSweeps, plan_earlier
from service.plans.estimates import Frozen, Playthrough, TrialCosts, Workload, play, trial_costs
from service.plans.shared_work import Sharing, share_work
from service.plans.sharing import SharingSurvey
from service.schedulers import NoStopping, build_scheduler
from service.searchers import build_searcher
from service.settings import Home
from trainables.activations import measure_disk_speed
from trainables.devices.devices import resolve_device
from trainables.devices.peaks import measure_resident_bytes
from trainables.measurements import DataCosts, StageCosts, measure_data, measure_stages
from trainables.stores.prepared import DataSurvey, survey_data
from trainables.weights import has_local_weights
from trainables.weights.weights import check_weights

__all__ = ["Measured", "SweepPlan", "WeightsNeed", "plan_sweep"]

MEASURING_SECONDS = 10.0
MOST_PLAYED = 64
_IMAGES_MEASURED = 8
_BYTES_A_WEIGHT = 4

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class WeightsNeed:
    """Starting weights of one backbone. download: bytes that the first trial will have to fetch, 0 if none."""

    backbone: str
    weights: str
    download: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The result of the short measurement, and its duration. process: bytes of a process with torch loaded."""

    stages: tuple[StageCosts, ...]
    data: DataCosts
    process: int
    seconds: float

    def stages_of(self, recipe: Recipe) -> StageCosts:
        """Return the costs of the recipe's backbone at its precision. Raises KeyError if they were not measured."""
        return self._by_body[recipe.backbone, recipe.precision]

    def covers(self, recipe: Recipe) -> bool:
        """Return whether everything that this recipe would do was measured."""
        return (recipe.backbone, recipe.precision) in self._by_body and recipe.augment.drawing in self.data.views

    @property
    def _by_body(self) -> dict[tuple[str, str], StageCosts]:
        return {(costs.backbone, costs.precision): costs for costs in self.stages}


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """The content of `plan`.

    recipes: the recipes played, the points and the default first. trials: their costs, in the same order.
    sharing: the work that trials share. costs: of the models that trials can have; None if no metric needs them.
    warnings: models that break a limit. slow_formats: cautions about number formats that this device has no
    instructions for. earlier: what earlier sweeps contribute; None if the sweep names none.
    most, likely: the sweep without and with early stopping; equal if no scheduler stops trials.
    preparing: seconds of decoding all images first; 0 if they are decoded or need not be.
    """

    spec: SweepSpec
    recipes: tuple[Recipe, ...]
    size: int | None
    survey: DataSurvey
    weights: tuple[WeightsNeed, ...]
    allotment: Allotment
    measured: Measured
    trials: tuple[TrialCosts, ...]
    sharing: Sharing
    most: Playthrough
    likely: Playthrough
    preparing: float
    costs: ModelCosts | None = None
    warnings: tuple[str, ...] = ()
    slow_formats: tuple[str, ...] = ()
    earlier: EarlierSweeps | None = None

    @property
    def trials_planned(self) -> int:
        """The number of trials: the budget's, or all recipes if the space has fewer."""
        asked = self.spec.budget.trials
        return asked if len(self.recipes) == min(asked, MOST_PLAYED) else len(self.recipes)

    @property
    def first_points(self) -> int:
        """The number of different points that run before all other recipes."""
        return min(self.trials_planned, len(set(self.spec.first_points)))

    @property
    def cautions(self) -> tuple[Caution, ...]:
        """Cautions about values that some recipes have together."""
        return tuple(dict.fromkeys(caution for recipe in self.recipes for caution in cautions(recipe.flat())))

    @property
    def process_bytes(self) -> int:
        """Bytes of a worker before it trains; 0 on a GPU, since they are not of the GPU's memory."""
        return self.measured.process if self.allotment.device == "cpu" else 0

    @property
    def trial_bytes(self) -> int:
        """Peak bytes of the largest trial."""
        return self.process_bytes + max(costs.memory for costs in self.trials)

    def seconds(self, played: Playthrough) -> float:
        """Return the wall seconds of the whole sweep's training, from those of the trials that were played."""
        once = self.sharing.once / self.allotment.slots
        return once + played.seconds * self.trials_planned / len(self.recipes)

    def epochs(self, played: Playthrough) -> int:
        """Return the epochs of the whole sweep, from those of the trials that were played."""
        return round(played.epochs * self.trials_planned / len(self.recipes))


def plan_sweep(spec: SweepSpec, *, home: Home, say: Say, seconds: float = MEASURING_SECONDS) -> SweepPlan:
    """Check everything that `run` would check, and measure for about `seconds`; pass each step's name to `say`.

    Raises MeltpointError if `run` would refuse the spec.
    """
    check_own_code(spec)
    machine = Machine.here()
    allotment = share_out(spec, cpus=machine.cores, gpus=machine.gpus_seen, listed=machine.gpus)
    slow = check_precisions(spec, allotment.device)
    check_parts(spec)
    say("checking weights")
    weights = tuple(_need(backbone, kind, spec.data.image_size) for backbone, kind in weights_used(spec))
    say("listing images")
    backbones = {backbone for backbone, _ in weights_used(spec)}
    survey = survey_data(spec.data, backbones, base_dir=spec.folder, root=home.data)
    say("drawing recipes")
    earlier = plan_earlier(spec, home)
    recipes = tuple(_drawn(spec, None if earlier is None else earlier.warm_start))
    measured = _measure(spec, recipes, survey, weights, allotment, say, seconds)
    costs, warnings = _model_costs(spec, len(survey.table.classes), say)
    work = Workload(train=survey.images("train"), val=survey.images("val"), streamed=survey.plan.mode == "streamed")
    sharing = _sharing(spec, home, measured, work)
    trials = tuple(_costs(recipe, measured.stages_of(recipe), measured.data, work, sharing) for recipe in recipes)
    slots = allotment.slots
    return SweepPlan(
        spec=spec,
        recipes=recipes,
        size=None if spec.points else spec.space.size(),
        survey=survey,
        weights=weights,
        allotment=allotment,
        measured=measured,
        trials=trials,
        sharing=sharing,
        most=play(trials, slots=slots, scheduler=NoStopping(epochs=spec.budget.epochs)),
        likely=play(trials, slots=slots, scheduler=build_scheduler(spec), seed=spec.seed),
        preparing=0.0 if survey.prepared else measured.data.decode * len(survey.table.images) / machine.cores,
        costs=costs,
        warnings=warnings,
        slow_formats=tuple(slow),
        earlier=earlier,
    )


def _model_costs(spec: SweepSpec, classes: int, say: Say) -> tuple[ModelCosts | None, tuple[str, ...]]:
    """Return the costs of the sweep's models, and a line for each that breaks a limit, if a metric needs them."""
    objectives = Objectives.from_specs(spec.metrics)
    if not objectives.costs:
        return None, ()
    costs = measure_models(spec, classes, lambda done, total: say(f"measuring models: {done + 1} of {total}"))
    return costs, tuple(check_limits(objectives, costs))


def _sharing(spec: SweepSpec, home: Home, measured: Measured, work: Workload) -> Sharing:
    survey = SharingSurvey.from_spec(spec, home, "plan")
    with tempfile.TemporaryDirectory(prefix="meltpoint-") as elsewhere:
        # Planning writes nothing below the home, which may not be there yet.
        there = home.root if home.root.exists() else Path(elsewhere)
        disk = measure_disk_speed(there)
    return share_work(
        survey,
        measured.covers,
        measured.stages_of,
        measured.data,
        work,
        epochs=spec.budget.epochs,
        disk=disk,
    )


def _costs(recipe: Recipe, stages: StageCosts, data: DataCosts, work: Workload, sharing: Sharing) -> TrialCosts:
    seconds = sharing.frozen_seconds(recipe, stages, training=True)
    frozen = Frozen(
        training=seconds,
        evaluation=sharing.frozen_seconds(recipe, stages, training=False),
        kept=seconds < stages.prefix_seconds(recipe.freeze_depth),
    )
    return trial_costs(recipe, stages, data, work, frozen)


def _need(backbone: str, weights: str, image_size: int) -> WeightsNeed:
    """Check the weights without fetching any. Raises MeltpointError if they cannot be used."""
    info = BACKBONES.get(backbone)
    elsewhere = info is not None and info.weights_source.startswith(("url:", "hub:"))
    if weights != "pretrained" or info is None or not elsewhere or has_local_weights(backbone):
        check_weights(backbone, weights, image_size=image_size)
        return WeightsNeed(backbone=backbone, weights=weights, download=0)
    check_weights(backbone, "random", image_size=image_size)
    return WeightsNeed(backbone=backbone, weights=weights, download=info.parameters * _BYTES_A_WEIGHT)


def _drawn(spec: SweepSpec, warm_start: Json | None) -> Iterator[Recipe]:
    """Return the recipes that the sweep's searcher proposes before it has any result."""
    searcher = build_searcher(spec, warm_start=warm_start)
    numbers = searcher.ordered(range(spec.budget.trials))[:MOST_PLAYED]
    proposals = takewhile(lambda proposal: proposal is not None, map(searcher.propose, numbers))
    return (proposal.recipe for proposal in proposals if proposal is not None)


def _measure(
    spec: SweepSpec,
    recipes: tuple[Recipe, ...],
    survey: DataSurvey,
    weights: tuple[WeightsNeed, ...],
    allotment: Allotment,
    say: Say,
    seconds: float,
) -> Measured:
    started = time.perf_counter()
    device = resolve_device(allotment.device)
    torch.set_num_threads(allotment.threads)
    say("measuring: decoding and augmentation")
    total = len(survey.table.images)
    rows = np.linspace(0, total - 1, min(total, _IMAGES_MEASURED)).astype(int)
    sources = [survey.table.images[row] for row in rows]
    policies = dict.fromkeys(recipe.augment.drawing for recipe in recipes)
    data, images = measure_data(sources, spec.data.image_size, policies)
    process = measure_resident_bytes(torch.device("cpu"))
    groups = _groups(recipes)
    fetched = {need.backbone for need in weights if need.download}
    stages = []
    for (backbone, precision), group in groups.items():
        say(f"measuring: {backbone} in {precision}, {allotment.threads} thread" + "s" * (allotment.threads > 1))
        batch = max(recipe.images_at_once for recipe in group)
        stages.append(
            measure_stages(
                backbone,
                np.resize(images, (batch, *images.shape[1:])),
                depths={recipe.freeze_depth for recipe in group},
                weights="random" if backbone in fetched else group[0].anchored(spec.folder).weights,
                classes=len(survey.table.classes),
                precision=precision,
                device=device,
                seconds=seconds / len(groups),
            )
        )
    return Measured(stages=tuple(stages), data=data, process=process, seconds=time.perf_counter() - started)


def _groups(recipes: tuple[Recipe, ...]) -> dict[tuple[str, str], list[Recipe]]:
    groups: dict[tuple[str, str], list[Recipe]] = {}
    for recipe in recipes:
        groups.setdefault((recipe.backbone, recipe.precision), []).append(recipe)
    return groups
