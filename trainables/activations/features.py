"""The input of a classifier's trained part: activations at its freeze boundary, computed once for all trials."""

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

_CLAIMED_AT_ONCE = 16
_READ_AT_ONCE = 16 * 1024 * 1024
"""Bytes of rows read at a time: enough that copying takes longer than looking up, and little of a worker's memory."""

_COMPUTED_AT_ONCE_SECONDS = 2.0
"""Seconds of computing at a time what a bounded cache lacks.

That is enough images for the fixed number computed together to be nearly always full."""

_WAIT_SECONDS = 0.01

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pass:
    """A pass over images: the view of each image, the mode of each boundary, and a function called at every batch."""

    policy: str
    view: int
    modes: Mapping[int, PrefixMode]
    beat: Callable[[], None]


class Features:
    """Activations at one recipe's freeze boundary, of training views and of plain images.

    The same folded prefix computes them with and without the node's cache, so that a trial's results do not depend on
    the cache. Without frozen stages they are the pixels, uint8 (B, 3, H, W).

    Args:
        data: prepared images.
        recipe: decides prefix and views.
        seed: seed of the views, and of random weights.
        device: device to compute on.
        epochs: expected number of epochs.
        sharing: the cache and its expected use; None computes everything.

    Attributes:
        counts: number of rows "computed" and "read".
        reason: why training activations are cached or not.
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
        self._evaluation: dict[int, PrefixMode] = {}
        self._own_costs: Costs | None = None
        self._used = self._written = 0  # rows that the training asked for, and rows put into the cache
        if self._cache is not None and sharing is not None:
            self._choose_modes(self._cache, sharing, epochs)

    @property
    def trouble(self) -> str | None:
        """The reason why the cache is not used although it is on, or None."""
        return None if self._cache is None else self._cache.trouble

    def summary(self) -> dict[str, object]:
        """Return modes, reason, numbers of rows used, computed and read, time saved, and trouble, as plain values."""
        return {
            "boundary": self._depth,
            "training": self._training.get(self._depth, "computed"),
            "evaluation": self._evaluation.get(self._depth, "computed"),
            "reason": self.reason,
            "used": self._used,
            "computed": self.counts["computed"],
            "read": self.counts["read"],
            "saved_seconds": self._saved_seconds(),
            "trouble": self.trouble,
        }

    def _saved_seconds(self) -> float:
        """Return an estimate of the time that the cache saved; below 0 if it cost more than it has saved so far.

        Each use of an image's activations that was not computed for it saved one pass through the frozen stages.
        Reading, and writing what was computed, took some of that time. The seconds of one image were measured before
        the training.
        """
        if self._own_costs is None:
            return 0.0
        costs, computed = self._own_costs, self.counts["computed"]
        saved = (self._used - computed) * costs.compute
        return saved - self.counts["read"] * costs.read - self._written * costs.keep

    @property
    def row_bytes(self) -> int:
        """Bytes of one image's activations, or of its pixels if nothing is frozen."""
        return self._data.images[0].nbytes if self._prefix is None else self._prefix.row_bytes(self._depth)

    def view_number(self, epoch: int) -> int:
        """Return the number of the view that an epoch (from 0) trains on."""
        views = self._recipe.augment.views
        return epoch % views if views else epoch

    def iterate_views(
        self,
        batches: Sequence[Indices],
        epoch: int,
        blends: Sequence[Blend | None] = (),
        beat: Callable[[], None] = lambda: None,
    ) -> Iterator[Tensor]:
        """Iterate over the activations (B, ...) of the epoch's views, on the device, one batch after another.

        Rows in the cache are read for many batches at once, in portions of a few megabytes. If rows are missing, all
        missing rows are computed first; processes that need the same rows divide them among themselves.

        Args:
            batches: positions (B,) of each batch's images.
            epoch: number from 0.
            blends: how each batch is mixed; views of mixed batches are not cached.
            beat: called at every batch.
        """
        policy, view = self._recipe.augment.drawing, self.view_number(epoch)
        image_pass = _Pass(policy=policy, view=view, modes=self._training, beat=beat)
        return self._blended(batches, blends, image_pass) if any(blends) else self._batches(batches, image_pass)

    def iterate_images(self, batches: Sequence[Indices], beat: Callable[[], None] = lambda: None) -> Iterator[Tensor]:
        """Iterate over the activations of plain images; see `iterate_views`."""
        return self._batches(batches, _Pass(policy="none", view=0, modes=self._evaluation, beat=beat))

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

    def _choose_modes(self, cache: ActivationCache, sharing: SharingSettings, epochs: int) -> None:
        assert self._prefix is not None
        try:
            speed = measure_disk_speed(cache.root)
        except OSError as error:
            cache.give_up(error)
            return
        self._own_costs = self._costs(self._depth, speed)
        views = count_distinct_views(self._recipe.augment.drawing, self._recipe.augment.views or epochs)
        mixed = self._recipe.mix.per_batch
        self.reason = "images are mixed before the frozen stages" if mixed else self.reason
        for modes, expected, different in (
            *(() if mixed else ((self._training, sharing.trials, views),)),
            (self._evaluation, sharing.readers, 1),
        ):
            uses = count_expected_uses(expected, self._depth, epochs=epochs, views=different)
            chosen = choose_prefix_modes({depth: self._costs(depth, speed) for depth in uses}, uses)
            modes.update({depth: mode for depth, (mode, _) in chosen.items()})
            if modes is self._training:
                self.reason = chosen[self._depth][1]

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

    def _pixels(self, rows: Indices, image_pass: _Pass) -> Tensor:
        """Draw views, uint8 (B, 3, H, W), in the layout of the array of images."""
        images = torch.from_numpy(self._data.images[rows]).permute(0, 3, 1, 2)
        return draw_views(
            images, self._data.digests[rows], seed=self._seed, policy=image_pass.policy, view=image_pass.view
        )

    def _kinds(self, rows: Indices, image_pass: _Pass) -> list[tuple[str, Indices]]:
        digests = self._data.digests[rows]
        return group_by_view_kind(
            digests, seed=self._seed, policy=image_pass.policy, view=image_pass.view, scope=self._scope
        )

    def _batches(self, batches: Sequence[Indices], image_pass: _Pass) -> Iterator[Tensor]:
        if self._prefix is None:
            for rows in batches:
                pixels = self._pixels(rows, image_pass).to(self._device)
                yield pixels.contiguous(memory_format=torch.channels_last)
        elif image_pass.modes.get(self._depth, "computed") == "computed":
            for rows in batches:
                self._used += len(rows)
                self.counts["computed"] += len(rows)
                parts = self._chunks(rows, image_pass.beat)
                computed = [self._prefix.compute(self._pixels(part, image_pass), self._depth) for part in parts]
                yield computed[0] if len(computed) == 1 else torch.cat(computed)
        else:
            yield from self._cached(batches, image_pass)

    def _chunks(self, rows: Indices, beat: Callable[[], None]) -> Iterator[Indices]:
        """Cut `rows` into the numbers computed together; call `beat` before each, since it may take minutes."""
        assert self._prefix is not None
        for start in range(0, len(rows), self._prefix.images_at_once):
            beat()
            yield rows[start : start + self._prefix.images_at_once]

    def _blended(
        self, batches: Sequence[Indices], blends: Sequence[Blend | None], image_pass: _Pass
    ) -> Iterator[Tensor]:
        for rows, blend in zip(batches, blends, strict=True):
            pixels = self._pixels(rows, image_pass).to(self._device)
            mixed = pixels if blend is None else blend.mix_images(pixels)
            if self._prefix is None:
                yield mixed.contiguous(memory_format=torch.channels_last)
            else:
                self._used += len(rows)
                self.counts["computed"] += len(rows)
                yield self._prefix.compute(mixed, self._depth)

    def _cached(self, batches: Sequence[Indices], image_pass: _Pass) -> Iterator[Tensor]:
        """Read each batch from the cache; compute what the cache has no room for."""
        assert self._cache is not None
        assert self._prefix is not None
        filled = image_pass.modes[self._depth] != "kept"
        used: set[str] = set()
        for portion in _portions(batches, most=_READ_AT_ONCE // self._prefix.row_bytes(self._depth)):
            rows = np.concatenate(portion)
            self._used += len(rows)
            kinds = self._kinds(rows, image_pass)
            content = self._read(rows, kinds)
            if content is None and not filled:
                filled = True
                self._fill(np.concatenate(batches), image_pass)
                content = self._read(rows, kinds)
            for kind in {kind for kind, _ in kinds} - used:
                self._cache.count_use(self._key(kind, self._depth))
                used.add(kind)
            if content is None:
                yield from self._completed(portion, image_pass)
            else:
                yield from self._unpacked(content, portion)

    def _completed(self, batches: Sequence[Indices], image_pass: _Pass) -> Iterator[Tensor]:
        """Read what the cache has of these batches and compute the rest, a few batches at a time."""
        assert self._prefix is not None
        for few in _portions(batches, most=int(_COMPUTED_AT_ONCE_SECONDS / self._prefix.seconds[self._depth])):
            rows = np.concatenate(few)
            content = self._blank(rows)
            for kind, positions in self._kinds(rows, image_pass):
                content[positions] = self._read_or_compute(rows[positions], kind, image_pass)
            yield from self._unpacked(content, few)

    def _unpacked(self, content: Rows, batches: Sequence[Indices]) -> Iterator[Tensor]:
        assert self._prefix is not None
        yield from torch.split(self._prefix.unpack(content, self._depth), [len(rows) for rows in batches])

    def _read(self, rows: Indices, kinds: Sequence[tuple[str, Indices]]) -> Rows | None:
        """Read the rows of these images' views; None if the cache lacks any."""
        assert self._cache is not None
        content = self._blank(rows)
        for kind, positions in kinds:
            part = self._cache.read(self._key(kind, self._depth), self._data.digests[rows[positions]])
            if part is None:
                return None
            if len(positions) == len(rows):
                content = part
            else:
                content[positions] = part
        self.counts["read"] += len(rows)
        return content

    def _blank(self, rows: Indices) -> Rows:
        assert self._prefix is not None
        return np.empty((len(rows), self._prefix.row_bytes(self._depth)), dtype=np.uint8)

    def _read_or_compute(self, rows: Indices, kind: str, image_pass: _Pass) -> Rows:
        """Read the rows of one kind of view, and compute the missing ones; compute all if a row is damaged."""
        assert self._cache is not None
        assert self._prefix is not None
        key, digests = self._key(kind, self._depth), self._data.digests[rows]
        content, every = self._blank(rows), np.arange(len(rows))
        missing = self._cache.find_missing(key, digests)
        present = np.delete(every, missing)
        part = self._cache.read(key, digests[present])
        if part is None:
            missing = every
        else:
            content[present] = part
        for few in self._chunks(missing, image_pass.beat):
            content[few] = self._prefix.rows(self._pixels(rows[few], image_pass), [self._depth])[self._depth]
        self.counts["read"] += len(rows) - len(missing)
        self.counts["computed"] += len(missing)
        return content

    def _fill(self, rows: Indices, image_pass: _Pass) -> None:
        """Put these images' views into the cache, at every boundary whose mode is `kept`."""
        depths = [depth for depth, mode in image_pass.modes.items() if mode == "kept"]
        unique = rows[np.unique(self._data.digests[rows], return_index=True)[1]]
        for kind, positions in self._kinds(unique, image_pass):
            self._fill_kind(unique[positions], kind, depths, image_pass)

    def _fill_kind(self, rows: Indices, kind: str, depths: list[int], image_pass: _Pass) -> None:
        """Compute the missing rows of one kind of view at all `depths`, divided among the processes that need them."""
        assert self._cache is not None
        assert self._prefix is not None
        key = self._key(kind, self._depth)
        for claimed in self._claimed(rows, kind, image_pass.beat):
            if not self._cache.would_keep(key, len(claimed)):
                return
            computed = self._prefix.rows(self._pixels(claimed, image_pass), depths)
            self.counts["computed"] += len(claimed)
            digests = self._data.digests[claimed]
            if not self._cache.append(key, digests, computed[self._depth]):
                return
            self._written += len(claimed)
            for depth in depths:
                if depth != self._depth:
                    self._cache.append(self._key(kind, depth), digests, computed[depth])

    def _claimed(self, rows: Indices, kind: str, beat: Callable[[], None]) -> Iterator[Indices]:
        """Claim missing images that no other process computes, a few at a time, until none is missing."""
        assert self._cache is not None
        key = self._key(kind, self._depth)
        while True:
            beat()
            missing = self._cache.find_missing(key, self._data.digests[rows])
            claims = self._cache.open_claims(key)
            if claims is None or not len(missing):
                return
            rows = rows[missing]
            with claims.taking(self._data.digests[rows], most=_CLAIMED_AT_ONCE) as taken:
                still = self._cache.find_missing(key, self._data.digests[rows[taken]])
                if len(still):
                    yield rows[taken[still]]
            if not len(taken):
                time.sleep(_WAIT_SECONDS)


def _portions(batches: Sequence[Indices], *, most: int) -> Iterator[list[Indices]]:
    """Group consecutive batches into portions of at most `most` images, or of a single larger batch."""
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
    """Open the node's cache, once for all trials of this process."""
    return _open_cache(sharing.folder, sharing.limit, sharing.memory)
