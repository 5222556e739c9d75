"""What the trained part of a classifier sees: activations at its freeze boundary, computed once for all trials."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from search_spaces.recipes import Recipe
from trainables.activations.cache import ActivationCache, EntryKey
from trainables.activations.entries import Rows
from trainables.activations.prefixes import FrozenPrefix, load_frozen_prefix
from trainables.activations.sharing import (
    Costs,
    DiskSpeed,
    PrefixMode,
    SharingSettings,
    choose_prefix_modes,
    count_expected_uses,
    measure_disk_speed,
)
from trainables.augmentations import Blend, count_distinct_views, draw_views, group_by_view_kind
from trainables.stores.prepared import PreparedData

__all__ = ["Features"]

_FILLED_AT_ONCE = 16
_READ_AT_ONCE = 16 * 1024 * 1024
"""Bytes: enough that copying rows takes longer than looking them up, and little beside what a worker holds."""

_COMPUTED_AT_ONCE_SECONDS = 2.0
"""Of what a bounded cache lacks: for so many images that the fixed number computed together is nearly always full."""

_WAIT_SECONDS = 0.01

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pass:
    """One going over images: which view of them, what is done with it at each boundary, and whom to give a sign."""

    policy: str
    view: int
    verdicts: Mapping[int, PrefixMode]
    beat: Callable[[], None]


class Features:
    """Activations of one recipe's frozen stages, of training views and of images as they are.

    They are computed by the same folded prefix whether they come from the node's cache or not, so that a trial's
    results do not depend on the cache. Without frozen stages they are the pixels themselves, uint8 (B, 3, H, W).

    sharing: where the cache is and how often its rows are expected to be used; None computes all.
    epochs: how many times each image is expected to be seen.
    """

    def __init__(
        self,
        data: PreparedData,
        recipe: Recipe,
        *,
        seed: int,
        device: torch.device,
        epochs: int = 1,
        sharing: SharingSettings | None = None,
    ) -> None:
        self._data, self._recipe, self._seed, self._device = data, recipe, seed, device
        self._depth = recipe.freeze_depth
        self._prefix = self._frozen() if self._depth else None
        self._scope = sharing.scope if sharing else ""
        self._cache = _cache(sharing) if sharing and sharing.limit and self._depth else None
        self.counts: Counter[str] = Counter()
        self.reason = "nothing is frozen" if not self._depth else "the cache is off"
        self._training: dict[int, PrefixMode] = {}
        self._reading: dict[int, PrefixMode] = {}
        if self._cache is not None and sharing is not None:
            self._judge(self._cache, sharing, epochs)

    @property
    def trouble(self) -> str | None:
        """Why the cache is not used although it was to be."""
        return None if self._cache is None else self._cache.trouble

    def summary(self) -> dict[str, object]:
        """JSON-able: what was decided and why, rows computed and read, and trouble with the cache if there was."""
        return {
            "boundary": self._depth,
            "training": self._training.get(self._depth, "computed"),
            "evaluation": self._reading.get(self._depth, "computed"),
            "reason": self.reason,
            "computed": self.counts["computed"],
            "read": self.counts["read"],
            "trouble": self.trouble,
        }

    @property
    def row_bytes(self) -> int:
        """Of one image's activations; its pixels where nothing is frozen."""
        return self._data.images[0].nbytes if self._prefix is None else self._prefix.row_bytes(self._depth)

    def view(self, epoch: int) -> int:
        """The number of the view that an epoch (from 0) trains on."""
        views = self._recipe.augment.views
        return epoch % views if views else epoch

    def iterate_views(
        self,
        batches: Sequence[Indices],
        epoch: int,
        blends: Sequence[Blend | None] = (),
        beat: Callable[[], None] = lambda: None,
    ) -> Iterator[Tensor]:
        """For each of `batches`, images (B,), the activations (B, ...) of their views of the epoch, on the device.

        What the cache has is read for many batches at once, in portions of a few megabytes. Where it lacks any, all
        that it lacks is computed first, in turns with whoever needs them too. blends: how each batch is mixed, if it
        is; nothing of such views is kept. beat: see Trainer.
        """
        policy, view = self._recipe.augment.drawing, self.view(epoch)
        over = _Pass(policy=policy, view=view, verdicts=self._training, beat=beat)
        return self._blended(batches, blends, over) if any(blends) else self._batches(batches, over)

    def iterate_images(self, batches: Sequence[Indices], beat: Callable[[], None] = lambda: None) -> Iterator[Tensor]:
        """As `iterate_views`, of the images as they are."""
        return self._batches(batches, _Pass(policy="none", view=0, verdicts=self._reading, beat=beat))

    def _frozen(self) -> FrozenPrefix:
        recipe = self._recipe
        return load_frozen_prefix(
            recipe.backbone,
            recipe.weights,
            image_size=int(self._data.images.shape[1]),
            precision=recipe.precision,
            device=self._device,
            seed=self._seed if recipe.weights == "random" else 0,
            pooled=recipe.head.pool == "backbone",
        )

    def _judge(self, cache: ActivationCache, sharing: SharingSettings, epochs: int) -> None:
        assert self._prefix is not None
        try:
            speed = measure_disk_speed(cache.root)
        except OSError as error:
            cache.give_up(error)
            return
        views = count_distinct_views(self._recipe.augment.drawing, self._recipe.augment.views or epochs)
        mixed = self._recipe.mix.per_batch
        self.reason = "images are mixed before the frozen stages" if mixed else self.reason
        for verdicts, expected, different in (
            *(() if mixed else ((self._training, sharing.trials, views),)),
            (self._reading, sharing.readers, 1),
        ):
            uses = count_expected_uses(expected, self._depth, epochs=epochs, views=different)
            judged = choose_prefix_modes({depth: self._costs(depth, speed) for depth in uses}, uses)
            verdicts.update({depth: verdict for depth, (verdict, _) in judged.items()})
            if verdicts is self._training:
                self.reason = judged[self._depth][1]

    def _costs(self, depth: int, speed: DiskSpeed) -> Costs:
        assert self._prefix is not None
        size = self._prefix.row_bytes(depth)
        return Costs(compute=self._prefix.seconds[depth], keep=size * speed.write, read=size * speed.read)

    def _key(self, kind: str, depth: int) -> EntryKey:
        assert self._prefix is not None
        return EntryKey(
            body=self._prefix.digest(depth),
            view=kind,
            depth=depth,
            row_bytes=self._prefix.row_bytes(depth),
            seconds=self._prefix.seconds[depth],
        )

    def _pixels(self, rows: Indices, over: _Pass) -> Tensor:
        """uint8 (B, 3, H, W), in the layout of the array that they come from."""
        images = torch.from_numpy(self._data.images[rows]).permute(0, 3, 1, 2)
        return draw_views(images, self._data.digests[rows], seed=self._seed, policy=over.policy, view=over.view)

    def _kinds(self, rows: Indices, over: _Pass) -> list[tuple[str, Indices]]:
        digests = self._data.digests[rows]
        return group_by_view_kind(digests, seed=self._seed, policy=over.policy, view=over.view, scope=self._scope)

    def _batches(self, batches: Sequence[Indices], over: _Pass) -> Iterator[Tensor]:
        if self._prefix is None:
            for rows in batches:
                pixels = self._pixels(rows, over).to(self._device)
                yield pixels.contiguous(memory_format=torch.channels_last)
        elif over.verdicts.get(self._depth, "computed") == "computed":
            for rows in batches:
                self.counts["computed"] += len(rows)
                parts = self._at_once(rows, over.beat)
                computed = [self._prefix.compute(self._pixels(part, over), self._depth) for part in parts]
                yield computed[0] if len(computed) == 1 else torch.cat(computed)
        else:
            yield from self._kept(batches, over)

    def _at_once(self, rows: Indices, beat: Callable[[], None]) -> Iterator[Indices]:
        """As many as are computed together; a beat before each, since they may take minutes."""
        assert self._prefix is not None
        for start in range(0, len(rows), self._prefix.images_at_once):
            beat()
            yield rows[start : start + self._prefix.images_at_once]

    def _blended(self, batches: Sequence[Indices], blends: Sequence[Blend | None], over: _Pass) -> Iterator[Tensor]:
        for rows, blend in zip(batches, blends, strict=True):
            pixels = self._pixels(rows, over).to(self._device)
            mixed = pixels if blend is None else blend.mix_images(pixels)
            if self._prefix is None:
                yield mixed.contiguous(memory_format=torch.channels_last)
            else:
                self.counts["computed"] += len(rows)
                yield self._prefix.compute(mixed, self._depth)

    def _kept(self, batches: Sequence[Indices], over: _Pass) -> Iterator[Tensor]:
        """Each batch from the cache, or computed where that has no room for it."""
        assert self._cache is not None
        assert self._prefix is not None
        filled = over.verdicts[self._depth] != "kept"
        used: set[str] = set()
        for portion in _portions(batches, most=_READ_AT_ONCE // self._prefix.row_bytes(self._depth)):
            rows = np.concatenate(portion)
            kinds = self._kinds(rows, over)
            found = self._read(rows, kinds)
            if found is None and not filled:
                filled = True
                self._fill(np.concatenate(batches), over)
                found = self._read(rows, kinds)
            for kind in {kind for kind, _ in kinds} - used:
                self._cache.used(self._key(kind, self._depth))
                used.add(kind)
            if found is None:
                yield from self._lacking(portion, over)
            else:
                yield from self._unpacked(found, portion)

    def _lacking(self, batches: Sequence[Indices], over: _Pass) -> Iterator[Tensor]:
        """Each batch of which the cache lacks a row of any, a few batches at a time."""
        assert self._prefix is not None
        for few in _portions(batches, most=int(_COMPUTED_AT_ONCE_SECONDS / self._prefix.seconds[self._depth])):
            rows = np.concatenate(few)
            found = self._blank(rows)
            for kind, positions in self._kinds(rows, over):
                found[positions] = self._read_or_compute(rows[positions], kind, over)
            yield from self._unpacked(found, few)

    def _unpacked(self, found: Rows, batches: Sequence[Indices]) -> Iterator[Tensor]:
        assert self._prefix is not None
        yield from torch.split(self._prefix.unpack(found, self._depth), [len(rows) for rows in batches])

    def _read(self, rows: Indices, kinds: Sequence[tuple[str, Indices]]) -> Rows | None:
        """What the cache has of these images' views; None where it lacks any."""
        assert self._cache is not None
        found = self._blank(rows)
        for kind, positions in kinds:
            kept = self._cache.read(self._key(kind, self._depth), self._data.digests[rows[positions]])
            if kept is None:
                return None
            if len(positions) == len(rows):
                found = kept
            else:
                found[positions] = kept
        self.counts["read"] += len(rows)
        return found

    def _blank(self, rows: Indices) -> Rows:
        assert self._prefix is not None
        return np.empty((len(rows), self._prefix.row_bytes(self._depth)), dtype=np.uint8)

    def _read_or_compute(self, rows: Indices, kind: str, over: _Pass) -> Rows:
        """Of one kind: read what the cache has, compute the rest; all of it where a row proves damaged."""
        assert self._cache is not None
        assert self._prefix is not None
        key, digests = self._key(kind, self._depth), self._data.digests[rows]
        found, every = self._blank(rows), np.arange(len(rows))
        lacking = self._cache.missing(key, digests)
        there = np.delete(every, lacking)
        kept = self._cache.read(key, digests[there])
        if kept is None:
            lacking = every
        else:
            found[there] = kept
        for few in self._at_once(lacking, over.beat):
            found[few] = self._prefix.rows(self._pixels(rows[few], over), [self._depth])[self._depth]
        self.counts["read"] += len(rows) - len(lacking)
        self.counts["computed"] += len(lacking)
        return found

    def _fill(self, rows: Indices, over: _Pass) -> None:
        """Have the cache hold these images' views, at every boundary at which they are worth it."""
        depths = [depth for depth, verdict in over.verdicts.items() if verdict == "kept"]
        unique = rows[np.unique(self._data.digests[rows], return_index=True)[1]]
        for kind, positions in self._kinds(unique, over):
            self._fill_kind(unique[positions], kind, depths, over)

    def _fill_kind(self, rows: Indices, kind: str, depths: list[int], over: _Pass) -> None:
        """Compute what nobody has, in turns with whoever else does, at all boundaries that others will ask for."""
        assert self._cache is not None
        assert self._prefix is not None
        key = self._key(kind, self._depth)
        for claimed in self._claimed(rows, kind, over.beat):
            if not self._cache.likely_keeps(key, len(claimed)):
                return
            computed = self._prefix.rows(self._pixels(claimed, over), depths)
            self.counts["computed"] += len(claimed)
            digests = self._data.digests[claimed]
            if not self._cache.append(key, digests, computed[self._depth]):
                return
            for depth in depths:
                if depth != self._depth:
                    self._cache.append(self._key(kind, depth), digests, computed[depth])

    def _claimed(self, rows: Indices, kind: str, beat: Callable[[], None]) -> Iterator[Indices]:
        """Images that are missing and that nobody else computes, a few at a time, until none is missing."""
        assert self._cache is not None
        key = self._key(kind, self._depth)
        while True:
            beat()
            missing = self._cache.missing(key, self._data.digests[rows])
            claims = self._cache.claims(key)
            if claims is None or not len(missing):
                return
            rows = rows[missing]
            with claims.taking(self._data.digests[rows], most=_FILLED_AT_ONCE) as taken:
                still = self._cache.missing(key, self._data.digests[rows[taken]])
                if len(still):
                    yield rows[taken[still]]
            if not len(taken):
                time.sleep(_WAIT_SECONDS)


def _portions(batches: Sequence[Indices], *, most: int) -> Iterator[list[Indices]]:
    """Consecutive batches of at most `most` images together, or a single larger one."""
    portion: list[Indices] = []
    images = 0
    for rows in batches:
        if portion and images + len(rows) > most:
            yield portion
            portion, images = [], 0
        portion.append(rows)
        images += len(rows)
    if portion:
        yield portion


@lru_cache(maxsize=1)
def _open_cache(folder: str, limit: int, memory: int) -> ActivationCache:
    return ActivationCache(Path(folder), limit=limit, memory=memory)


def _cache(sharing: SharingSettings) -> ActivationCache:
    """This process's handle on the node's cache, kept for the trials to come."""
    return _open_cache(sharing.folder, sharing.limit, sharing.memory)
