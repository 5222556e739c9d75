"""The syntax tree of a `space` document: its names and alternatives, before they become the entries of a space."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from search_spaces.errors import Problem, did_you_mean
from search_spaces.recipes import Value
from search_spaces.spaces.domains import Choice, Domain, Fixed


@dataclass(frozen=True, kw_only=True)
class When:
    """A condition as the document writes it: a recipe name, and the values of it for which the node is drawn."""

    name: str
    allowed: tuple[Value, ...]
    path: str


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A recipe name with its domain; the domain is None if the document's is invalid."""

    name: str
    domain: Domain | None
    path: str
    when: tuple[When, ...] = ()
    inherited: bool = False


@dataclass(frozen=True, kw_only=True)
class Branch:
    """An alternative of a one_of."""

    label: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, kw_only=True)
class OneOf:
    """Alternatives for the names below `group`; an empty group stands for the names of all groups."""

    group: str
    branches: tuple[Branch, ...]
    path: str
    default: str | None = None
    when: tuple[When, ...] = ()
    inherited: bool = False


Node: TypeAlias = Leaf | OneOf


def names_in(node: Node) -> set[str]:
    """Return every recipe name that `node` may set."""
    if isinstance(node, Leaf):
        return {node.name}
    return {name for branch in node.branches for inner in branch.nodes for name in names_in(inner)}


def with_when(node: Node, when: tuple[When, ...]) -> Node:
    """Add conditions to `node`."""
    return replace(node, when=node.when + when)


def mark_inherited(node: Node) -> Node:
    """Mark `node` as part of a shipped space."""
    if isinstance(node, Leaf):
        return replace(node, inherited=True)
    branches = tuple(replace(branch, nodes=tuple(map(mark_inherited, branch.nodes))) for branch in node.branches)
    return replace(node, branches=branches, inherited=True)


def merge(base: list[Node], own: list[Node], problems: list[Problem]) -> list[Node]:
    """Replace the nodes of `base` that `own` gives too: a leaf replaces that leaf, a one_of its whole group.

    A `name` of `own` whose group is a one_of in `base` selects among its branches; they keep their other names.
    """
    kept = [mark_inherited(node) for node in base]
    added: list[Node] = []
    for node in own:
        if isinstance(node, OneOf):
            kept = [other for other in kept if not _is_replaced(other, node.group, names_in(node))]
            added.append(node)
        elif any(_selector(other) == node.name for other in kept):
            kept = [_narrowed(other, node, problems) for other in kept]
        else:
            kept = [left for other in kept for left in _without(other, node.name)]
            added.append(node)
    return kept + added


def _is_replaced(node: Node, group: str, names: set[str]) -> bool:
    if not group:
        return bool(names_in(node) & names)
    return all(name.startswith(f"{group}.") for name in names_in(node))


def _without(node: Node, name: str) -> list[Node]:
    """Return what remains of `node` without `name`: nothing, or the smaller node."""
    if isinstance(node, Leaf):
        return [] if node.name == name else [node]
    left = tuple(
        replace(branch, nodes=tuple(rest for inner in branch.nodes for rest in _without(inner, name)))
        for branch in node.branches
    )
    return [replace(node, branches=left)] if any(branch.nodes for branch in left) else []


def _selector(node: Node) -> str | None:
    return f"{node.group}.name" if isinstance(node, OneOf) else None


def _narrowed(node: Node, leaf: Leaf, problems: list[Problem]) -> Node:
    """Keep only the branches of `node` that `leaf` allows, if `leaf` is the name that selects among them."""
    if isinstance(node, Leaf) or _selector(node) != leaf.name:
        return node
    values: tuple[Value, ...] = ()
    if isinstance(leaf.domain, Fixed):
        values = (leaf.domain.value,)
    elif isinstance(leaf.domain, Choice):
        values = leaf.domain.values
    labels = [branch.label for branch in node.branches]
    for value in values:
        if value not in labels:
            rule = f"must name a branch of the extended space; give {node.group}.one_of to replace its branches"
            known = did_you_mean(str(value), labels)
            problems.append(Problem(path=leaf.path, rule=rule + known, value=value))
    branches = tuple(branch for branch in node.branches if branch.label in values) or node.branches
    default = str(leaf.domain.default) if leaf.domain and leaf.domain.default else None
    return replace(node, branches=branches, default=default, when=node.when + leaf.when)
