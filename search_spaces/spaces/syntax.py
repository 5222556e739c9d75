"""Syntax nodes: a `space` document, name by name, before it becomes the entries of a space."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from search_spaces.errors import Problem, did_you_mean
from search_spaces.recipes import Value
from search_spaces.spaces.domains import Choice, Domain, Fixed


@dataclass(frozen=True, kw_only=True)
class When:
    """A condition as written: the recipe name it asks about, and the values it allows."""

    name: str
    allowed: tuple[Value, ...]
    path: str


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One recipe name with its domain; the domain is None if the document has it wrong."""

    name: str
    domain: Domain | None
    path: str
    when: tuple[When, ...] = ()
    inherited: bool = False


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One alternative of a one_of."""

    label: str
    items: tuple[Item, ...]


@dataclass(frozen=True, kw_only=True)
class OneOf:
    """Alternatives for the names below `group`; an empty group means names of all groups."""

    group: str
    branches: tuple[Branch, ...]
    path: str
    default: str | None = None
    when: tuple[When, ...] = ()
    inherited: bool = False


Item: TypeAlias = Leaf | OneOf


def names_in(item: Item) -> set[str]:
    """Return the recipe names that `node` may set."""
    if isinstance(item, Leaf):
        return {item.name}
    return {name for branch in item.branches for inner in branch.items for name in names_in(inner)}


def with_when(item: Item, when: tuple[When, ...]) -> Item:
    """Return `node` under further conditions."""
    return replace(item, when=item.when + when)


def inherited(item: Item) -> Item:
    """Return `node` marked as coming from a shipped space."""
    if isinstance(item, Leaf):
        return replace(item, inherited=True)
    branches = tuple(replace(one, items=tuple(map(inherited, one.items))) for one in item.branches)
    return replace(item, branches=branches, inherited=True)


def merge(base: list[Item], own: list[Item], problems: list[Problem]) -> list[Item]:
    """`base` with the names that `own` gives replaced: a leaf replaces that leaf, a one_of its whole group.

    A `name` given over a one_of chooses among its branches, which keep what they say of the other names.
    """
    kept = [inherited(item) for item in base]
    added: list[Item] = []
    for item in own:
        if isinstance(item, OneOf):
            kept = [one for one in kept if not _covered(one, item.group, names_in(item))]
            added.append(item)
        elif any(_selector_of(one) == item.name for one in kept):
            kept = [_narrowed(one, item, problems) for one in kept]
        else:
            kept = [left for one in kept for left in _without(one, item.name)]
            added.append(item)
    return kept + added


def _covered(item: Item, group: str, names: set[str]) -> bool:
    if not group:
        return bool(names_in(item) & names)
    return all(name.startswith(f"{group}.") for name in names_in(item))


def _without(item: Item, name: str) -> list[Item]:
    """Return what is left of `node` without `name`."""
    if isinstance(item, Leaf):
        return [] if item.name == name else [item]
    left = tuple(
        replace(branch, items=tuple(one for inner in branch.items for one in _without(inner, name)))
        for branch in item.branches
    )
    return [replace(item, branches=left)] if any(branch.items for branch in left) else []


def _selector_of(item: Item) -> str | None:
    return f"{item.group}.name" if isinstance(item, OneOf) else None


def _narrowed(item: Item, leaf: Leaf, problems: list[Problem]) -> Item:
    """Return `node`; if `leaf` chooses among its branches, only those with a label that `leaf` may have."""
    if isinstance(item, Leaf) or _selector_of(item) != leaf.name:
        return item
    values: tuple[Value, ...] = ()
    if isinstance(leaf.domain, Fixed):
        values = (leaf.domain.value,)
    elif isinstance(leaf.domain, Choice):
        values = leaf.domain.values
    labels = [branch.label for branch in item.branches]
    for value in values:
        if value not in labels:
            rule = f"must be a branch of the extended space; give {item.group}.one_of to replace its branches"
            known = did_you_mean(str(value), labels)
            problems.append(Problem(path=leaf.path, rule=rule + known, value=value))
    branches = tuple(branch for branch in item.branches if branch.label in values) or item.branches
    default = str(leaf.domain.default) if leaf.domain and leaf.domain.default else None
    return replace(item, branches=branches, default=default, when=item.when + leaf.when)
