"""Work that the trials of a planned sweep share: computed once, read by each trial, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from search_spaces import BACKBONES, Recipe, map_side
from service.plans.estimates import Workload
from service.plans.sharing import SharingSurvey
from trainables.activations import Costs, DiskSpeed, PrefixMode, choose_prefix_modes, count_expected_uses
from trainables.augmentations import count_distinct_views
from trainables.measurements import DataCosts, StageCosts

__all__ = ["SharedWork", "Sharing", "share_work"]


@dataclass(frozen=True, kw_only=True)
class SharedWork:
    """Activations at one boundary, of one augmentation's views, or (policy None) of images as they are.

    trials: how many are expected to use them; once: seconds of one worker for computing them all; read: seconds an
    image, each time it is used; size: bytes, of all images and views.
    """

    backbone: str
    boundary: int
    policy: str | None
    trials: float
    mode: PrefixMode
    reason: str
    once: float
    read: float
    size: int


@dataclass(frozen=True)
class Sharing:
    """All that a sweep's trials share."""

    work: tuple[SharedWork, ...]

    def frozen_seconds(self, recipe: Recipe, stages: StageCosts, *, training: bool) -> float:
        """Return the seconds an image that a trial spends on its frozen stages at each use, computing or reading."""
        if training and recipe.shared_views is None:
            return stages.prefix_seconds(recipe.freeze_depth)
        policy = recipe.shared_views if training else None
        for work in self.work:
            if (work.backbone, work.boundary, work.policy) == (recipe.backbone, recipe.freeze_depth, policy):
                return work.read if work.mode == "kept" else stages.prefix_seconds(recipe.freeze_depth)
        return stages.prefix_seconds(recipe.freeze_depth)

    @property
    def once(self) -> float:
        """Seconds of one worker for everything that is computed once: per view at the deepest boundary that is kept."""
        deepest: dict[tuple[str, str | None], float] = {}
        for work in self.work:
            if work.mode == "kept":
                key = (work.backbone, work.policy)
                deepest[key] = max(deepest.get(key, 0.0), work.once)
        return sum(deepest.values())


def share_work(
    survey: SharingSurvey,
    covered: Callable[[Recipe], bool],
    stages_of: Callable[[Recipe], StageCosts],
    data: DataCosts,
    work: Workload,
    *,
    epochs: int,
    disk: DiskSpeed,
) -> Sharing:
    """Choose what is done at every boundary of the sweep as its workers will, by costs measured here.

    covered: whether a recipe's costs were measured; a space may draw others later.
    """
    shared = [
        piece
        for recipe, _ in survey.groups()
        if recipe.freeze_depth and covered(recipe)
        for piece in _shared_work(recipe, survey, stages_of(recipe), data, work, epochs=epochs, disk=disk)
    ]
    unique = {(piece.backbone, piece.boundary, piece.policy): piece for piece in shared}
    if not survey.limit:
        off = (replace(piece, mode="computed", reason="data.cache is off") for piece in unique.values())
        return Sharing(tuple(off))
    return Sharing(tuple(unique.values()))


def _shared_work(
    recipe: Recipe,
    survey: SharingSurvey,
    stages: StageCosts,
    data: DataCosts,
    work: Workload,
    *,
    epochs: int,
    disk: DiskSpeed,
) -> Iterator[SharedWork]:
    depth = recipe.freeze_depth
    sharing = survey.settings_for(recipe)
    views = count_distinct_views(recipe.augment.drawing, recipe.augment.views or epochs)
    trained = (recipe.shared_views, sharing.trials, views, work.train, data.views[recipe.augment.drawing])
    for policy, expected, different, images, drawing in (
        *(() if recipe.shared_views is None else (trained,)),
        (None, sharing.readers, 1, work.val, 0.0),
    ):
        uses = count_expected_uses(expected, depth, epochs=epochs, views=different)
        costs = {other: _boundary_costs(recipe, other, stages, disk) for other in uses}
        mode, reason = choose_prefix_modes(costs, uses)[depth]
        own = costs[depth]
        yield SharedWork(
            backbone=recipe.backbone,
            boundary=depth,
            policy=policy,
            trials=expected.get(depth, 1.0),
            mode=mode,
            reason=reason,
            once=images * different * (drawing + own.compute + own.keep),
            read=own.read,
            size=images * different * _boundary_bytes(recipe, depth, stages),
        )


def _boundary_costs(recipe: Recipe, depth: int, stages: StageCosts, disk: DiskSpeed) -> Costs:
    size = _boundary_bytes(recipe, depth, stages)
    return Costs(compute=stages.prefix_seconds(depth), keep=size * disk.write, read=size * disk.read)


def _boundary_bytes(recipe: Recipe, depth: int, stages: StageCosts) -> int:
    """Return the bytes of one image at a boundary; maps instead of a vector if the pool is not the backbone's."""
    size = stages.boundaries[depth]
    if recipe.head.pool == "backbone" or depth < len(stages.forward) or recipe.backbone not in BACKBONES:
        return size
    return size * max(1, map_side(recipe.backbone, stages.image_size)) ** 2
