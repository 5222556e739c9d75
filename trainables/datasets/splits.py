"""Stratified splits into train, val, confirm and test, which follow from names and a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from search_spaces import SplitSpec
from trainables.errors import DataError

__all__ = ["SPLITS", "assign_splits", "check_splits"]

SPLITS = ("train", "val", "confirm", "test")
_GROUP_ORDERS = 8

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Strings = npt.NDArray[np.str_]


def assign_splits(
    labels: Ints,
    *,
    classes: Sequence[str],
    split: SplitSpec,
    groups: Strings | None = None,
    names: Sequence[str] | None = None,
    copies: Ints | None = None,
) -> Strings:
    """Assign each image to a split.

    Each class keeps its share in every split, as closely as whole images, or whole groups, allow. Images, or groups,
    are ordered by a hash of (seed, name), so the order of the rows has no effect if `names` or `groups` are given.

    Args:
        labels: int64 (N,), positions in `classes`.
        classes: class names.
        split: fractions and seed.
        groups: (N,), the group of each image, which stays in one split; None for no groups.
        names: (N,), unique names; by default the row numbers.
        copies: int64 (N,), the first row of each image's group of copies, which stays in one split as well; None for no
            copies. Images without copies are ordered as without this argument.

    Returns:
        (N,) of "train", "val", "confirm" or "test".

    Raises:
        DataError: a class is too small to appear in train and in every split with a fraction above 0.
    """
    fractions = np.array([1 - split.val - split.confirm - split.test, split.val, split.confirm, split.test])
    if groups is not None:
        joined = groups if copies is None else _join(groups, copies)
        codes = _assign_groups(labels, joined, classes=classes, fractions=fractions, seed=split.seed)
    else:
        keys = names if names is not None else [str(row) for row in range(len(labels))]
        heads = np.arange(len(labels)) if copies is None else copies
        codes = _assign_images(labels, keys, heads, classes=classes, fractions=fractions, seed=split.seed)
    return np.array(SPLITS)[codes]


def check_splits(splits: Strings, labels: Ints, *, classes: Sequence[str], groups: Strings | None) -> None:
    """Check the splits that a source names.

    Raises:
        DataError: a class is missing in train or val, or a group is in two splits.
    """
    for needed in ("train", "val"):
        present = set(labels[splits == needed].tolist())
        missing = [name for code, name in enumerate(classes) if code not in present]
        if missing:
            raise DataError(
                f"the source's own splits must give `{needed}` at least one image of every class "
                f"(none of {', '.join(map(repr, missing[:5]))})"
            )
    if groups is None:
        return
    splits_of_group: dict[str, set[str]] = {}
    for group, split in zip(groups.tolist(), splits.tolist(), strict=True):
        splits_of_group.setdefault(group, set()).add(split)
    for group, present_in in splits_of_group.items():
        if len(present_in) > 1:
            raise DataError(
                f"the source's own splits must keep group {group!r} whole (it is in {', '.join(sorted(present_in))})"
            )


def _join(groups: Strings, copies: Ints) -> Strings:
    """Return groups (N,) that hold whole groups and whole groups of copies; each is named by its first member."""
    from scipy.sparse import coo_array  # takes a moment to load, and most sets have no groups
    from scipy.sparse.csgraph import connected_components

    _, code = np.unique(groups, return_inverse=True)
    rows = np.arange(len(groups))
    ends = np.concatenate([np.stack([rows, copies]), np.stack([rows, len(rows) + code])], axis=1)
    size = len(rows) + int(code.max()) + 1
    graph = coo_array((np.ones(ends.shape[1], dtype=bool), tuple(ends)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    _, first, joined = np.unique(component[: len(rows)], return_index=True, return_inverse=True)
    return groups[first[joined]]


def _assign_images(
    labels: Ints, keys: Sequence[str], heads: Ints, *, classes: Sequence[str], fractions: Floats, seed: int
) -> Ints:
    """Place images by class. heads: (N,), the first row of each image's copies; they count as images of its class."""
    order = _shuffled(keys, seed=seed)
    needed = int(np.count_nonzero(fractions > 0))
    own = heads == np.arange(len(heads))
    counts = np.bincount(labels[own], minlength=len(classes))
    if np.any(counts < needed):
        raise DataError(_too_small(classes, counts, "image" if own.all() else "different image", fractions))
    codes = np.zeros(len(labels), dtype=np.int64)
    sizes = np.bincount(heads, minlength=len(heads))
    for code in range(len(classes)):
        rows = order[(labels[order] == code) & own[order]]
        codes[rows] = _fill(sizes[rows], _quotas(int(sizes[rows].sum()), fractions))
    return codes[heads]


def _fill(sizes: Ints, quotas: Ints) -> Ints:
    """Place units of given sizes into splits with given quotas; return (U,) positions of splits.

    Units of one image fill the splits in their order. Larger ones come first, each where most is free. No split with a
    quota stays empty, if there are as many units as such splits.
    """
    codes = np.zeros(len(sizes), dtype=np.int64)
    free, empty = quotas.copy(), quotas > 0
    large = np.flatnonzero(sizes > 1)
    for placed, unit in enumerate(large[np.argsort(-sizes[large], kind="stable")]):
        only_empty = len(sizes) - placed <= np.count_nonzero(empty)
        codes[unit] = np.argmax(np.where(empty, free, free.min() - 1) if only_empty else free)
        free[codes[unit]] -= sizes[unit]
        empty[codes[unit]] = False
    small = np.flatnonzero(sizes == 1)
    free = np.maximum(free, empty)
    while free.sum() > len(small):
        free[np.argmax(free - empty)] -= 1
    codes[small] = np.repeat(np.arange(len(SPLITS)), free)
    return codes


def _quotas(count: int, fractions: Floats) -> Ints:
    """Return (4,) whole numbers near count * fractions that sum to `count`; at least 1 for a fraction above 0."""
    targets = count * fractions
    used = fractions > 0
    quotas = np.where(used, np.maximum(1, np.floor(targets + 1e-9)), 0).astype(np.int64)
    while quotas.sum() < count:
        quotas[np.argmax(np.where(used, targets - quotas, -np.inf))] += 1
    while quotas.sum() > count:
        quotas[np.argmax(np.where(quotas > 1, quotas - targets, -np.inf))] -= 1
    return quotas


def _assign_groups(labels: Ints, groups: Strings, *, classes: Sequence[str], fractions: Floats, seed: int) -> Ints:
    """Place the groups in several hashed orders, and return the codes of the best fit."""
    group_names, member = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(group_names), len(classes)))
    np.add.at(counts, (member, labels), 1)
    needed = int(np.count_nonzero(fractions > 0))
    holding = np.count_nonzero(counts, axis=0)
    if np.any(holding < needed):
        raise DataError(_too_small(classes, holding, "group", fractions))
    shares = counts / counts.sum(axis=0)
    keys = [str(name) for name in group_names]
    orders = [_shuffled(keys, seed=seed, salt=f"/{attempt}") for attempt in range(_GROUP_ORDERS)]
    candidates = [_place(shares, order, fractions) for order in orders]
    best = min(candidates, key=lambda codes: _misfit(shares, codes, fractions))
    held = _held(shares, best)
    for code, name in enumerate(classes):
        empty = [SPLITS[s] for s in range(len(SPLITS)) if fractions[s] > 0 and held[s, code] == 0]
        if empty:
            raise DataError(
                f"class {name!r}: its groups are too uneven to reach {', '.join(empty)}: "
                f"give the class more groups, change data.split.seed, or set that fraction to 0"
            )
    return best[member]


def _place(shares: Floats, order: Ints, fractions: Floats) -> Ints:
    """Give every split one group of each class, rare classes first; then put each group where it is missed most."""
    codes = np.full(len(shares), -1)
    held = np.zeros((len(SPLITS), shares.shape[1]))
    for label in np.argsort(np.count_nonzero(shares, axis=0), kind="stable"):
        for code in np.flatnonzero((fractions > 0) & (held[:, label] == 0)):
            holding = order[(codes[order] < 0) & (shares[order, label] > 0)]
            if len(holding) > 0:
                codes[holding[0]] = code
                held[code] += shares[holding[0]]
    for group in order[codes[order] < 0]:
        missed = (fractions[:, None] - held) @ shares[group]
        codes[group] = np.argmax(np.where(fractions > 0, missed, -np.inf))
        held[codes[group]] += shares[group]
    return codes


def _misfit(shares: Floats, codes: Ints, fractions: Floats) -> tuple[int, float]:
    """Return (number of (split, class) pairs that are wrongly empty, squared distance to the fractions)."""
    held = _held(shares, codes)
    empty = int(np.count_nonzero((held == 0) & (fractions[:, None] > 0)))
    return empty, float(((held - fractions[:, None]) ** 2).sum())


def _held(shares: Floats, codes: Ints) -> Floats:
    held = np.zeros((len(SPLITS), shares.shape[1]))
    np.add.at(held, codes, shares)
    return held


def _shuffled(keys: Sequence[str], *, seed: int, salt: str = "") -> Ints:
    """Return the positions of `keys` in the order of a hash of (seed, salt, key)."""
    prefix = f"{seed}{salt}\0"
    names = [(prefix + key).encode(errors="surrogateescape") for key in keys]
    ranks = [hashlib.blake2b(name, digest_size=8).digest() for name in names]
    return np.array(sorted(range(len(keys)), key=ranks.__getitem__), dtype=np.int64)


def _too_small(classes: Sequence[str], counts: Ints, unit: str, fractions: Floats) -> str:
    used = [split for split, fraction in zip(SPLITS, fractions, strict=True) if fraction > 0]
    first, *others = np.flatnonzero(counts < len(used)).tolist()
    more = f" (and {len(others):,} more)" if others else ""
    return (
        f"class {classes[first]!r}{more}: must have at least {len(used)} {unit}s, one for each of {', '.join(used)} "
        f"({counts[first]}): add {unit}s, drop the class, or set a fraction of data.split to 0"
    )
