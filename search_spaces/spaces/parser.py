"""Turn a `space` document into a Space, or list all its problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from search_spaces.backbones import BACKBONES, resolve_freeze_depth
from search_spaces.errors import MISSING, Problem, SpecError, did_you_mean
from search_spaces.extensions import is_counting_forbidden
from search_spaces.recipes import PARAMETERS, TrainingContext, Value, other_way
from search_spaces.spaces.clashes import Clash, find_clashes
from search_spaces.spaces.domains import Choice, Fixed, Range
from search_spaces.spaces.feasibility import Candidate, Facts, Reachable
from search_spaces.spaces.reader import SpaceReader
from search_spaces.spaces.shipped import SHIPPED, shipped_document
from search_spaces.spaces.space import Condition, Entry, Space, vocabulary_defaults
from search_spaces.spaces.syntax import Leaf, Node, When, merge


def parse_space(document: object, path: str = "space") -> Space:
    """Return the space that a document describes.

    Raises:
        SpecError: the document has problems; the error has all of them, each with its path.
    """
    space, problems = read_space(document, path)
    if problems:
        raise SpecError(problems)
    return space


def read_space(
    document: object, path: str = "space", *, grid: bool = False, context: TrainingContext | None = None
) -> tuple[Space, list[Problem]]:
    """Return the space of a document, and its problems; use the space only if there are no problems.

    Args:
        document: plain data.
        path: the path of the document in its file, for problems.
        grid: refuse continuous domains.
        context: known facts about the trainings that the recipes are for.
    """
    reader = SpaceReader()
    nodes = _nodes(document, path, reader)
    drafts = _ordered(_draft(nodes), reader)
    entries = _checked(drafts, reader)
    if grid:
        keys = {entry.key for entry in entries}
        reader.problems += _continuous((draft for draft in drafts if draft.candidate.key in keys), document, path)
    space = Space(tuple(entries))
    if not reader.problems:
        by_key = {draft.candidate.key: draft for draft in drafts}
        reader.problems += _clash_problems(find_clashes(space, context or TrainingContext()), by_key, document, path)
    return space, reader.problems


def _clash_problems(
    clashes: Iterable[Clash], drafts: Mapping[str, _Draft], document: object, path: str
) -> Iterable[Problem]:
    """Return a problem for each name that a space draws together with a value that its rule forbids."""
    problems: dict[Problem, None] = {}
    for clash in clashes:
        if clash.entry is None:
            problems[Problem(path=path, rule=clash.text)] = None
            continue
        problem_path, owner = _place(drafts[clash.entry.key], document, path)
        if clash.value is None:  # the text already begins with another name
            owner = ""
        value = MISSING if clash.value is None else clash.value
        problems[Problem(path=problem_path, rule=f"{owner}{clash.text}", value=value)] = None
    return problems


def _place(draft: _Draft, document: object, path: str) -> tuple[str, str]:
    """Return the path that gives a draft, and the beginning of its rule if a shipped space gives it."""
    if not draft.inherited:
        return draft.path, ""
    assert isinstance(document, Mapping)
    return f"{path}.extends", f"{draft.candidate.name} of {document['extends']} "


def _nodes(document: object, path: str, reader: SpaceReader) -> list[Node]:
    if not isinstance(document, Mapping) or "extends" not in document:
        return reader.read_group(document, path)
    name = document["extends"]
    own = reader.read_group({key: value for key, value in document.items() if key != "extends"}, path)
    if not isinstance(name, str) or name not in SHIPPED:
        reader.refuse(f"{path}.extends", f"must be a shipped space{did_you_mean(str(name), SHIPPED)}", name)
        return own
    return merge(_nodes(shipped_document(name), path, reader), own, reader.problems)


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """A candidate entry, with its place in the document."""

    candidate: Candidate
    when: tuple[When, ...]
    implied: tuple[Condition, ...]
    path: str
    inherited: bool

    @property
    def depends_on(self) -> set[str]:
        """The keys that must be drawn before: those of its conditions, and those that decide its default."""
        asked = {condition.key for condition in self.candidate.conditions + self.implied}
        name = self.candidate.name
        if name is None:
            return asked
        if PARAMETERS[name].kind == "depth":
            return asked | {"backbone"}
        return asked | ({PARAMETERS[name].decided_by or name} - {name})


def _draft(nodes: Iterable[Node], qualifier: str = "", group: str = "", *outer: Condition) -> list[_Draft]:
    drafts: list[_Draft] = []
    for node in nodes:
        written = tuple(Condition(key=when.name, allowed=when.allowed) for when in node.when)
        if isinstance(node, Leaf):
            candidate = Candidate(
                key=_qualified(qualifier, group, node.name),
                name=node.name,
                domain=node.domain,
                conditions=(*outer, *written),
            )
            drafts.append(_drafted(node, candidate, _implied(node.name)))
            continue
        key = _qualified(qualifier, group, node.group) or "space"
        labels = tuple(branch.label for branch in node.branches)
        selector = Choice(values=labels, default=node.default)
        conditions = (*outer, *written)
        candidate = Candidate(key=key, name=None, domain=selector, conditions=conditions)
        drafts.append(_drafted(node, candidate, ()))
        for branch in node.branches:
            chosen = Condition(key=key, allowed=(branch.label,))
            drafts += _draft(branch.nodes, f"{key}[{branch.label}]", node.group, chosen)
    return drafts


def _drafted(node: Node, candidate: Candidate, implied: tuple[Condition, ...]) -> _Draft:
    return _Draft(candidate=candidate, when=node.when, implied=implied, path=node.path, inherited=node.inherited)


def _qualified(qualifier: str, group: str, name: str) -> str:
    """Return the key of `name` below a branch: `optimizer.lr` below `optimizer[adamw]` is `optimizer[adamw].lr`."""
    if not qualifier:
        return name
    rest = name.removeprefix(group).removeprefix(".") if group else name
    return f"{qualifier}.{rest}" if rest else qualifier


def _implied(name: str) -> tuple[Condition, ...]:
    active_for = PARAMETERS[name].active_for
    if active_for is None:
        return ()
    return (Condition(key=active_for[0], allowed=tuple(sorted(active_for[1]))),)


def _ordered(drafts: list[_Draft], reader: SpaceReader) -> list[_Draft]:
    """Sort `drafts`: each after those that it depends on, otherwise as written. Refuse circular conditions."""
    ordered: list[_Draft] = []
    left = list(drafts)
    while left:
        ready = next((draft for draft in left if not _waits_for_any(draft, left)), None)
        if ready is None:
            for draft in left:
                if draft.when:
                    circle = ", ".join(sorted({other.candidate.key for other in left}))
                    reader.refuse(draft.when[0].path, f"is part of circular conditions: {circle}")
            return ordered
        ordered.append(ready)
        left.remove(ready)
    return ordered


def _waits_for_any(draft: _Draft, others: Iterable[_Draft]) -> bool:
    return any(draft.depends_on & other.candidate.referred_keys for other in others)


def _checked(drafts: list[_Draft], reader: SpaceReader) -> list[Entry]:
    reachable = Reachable()
    entries = []
    for draft in drafts:
        settled = _without_constants(draft, reachable)
        facts = None if settled is None else reachable.facts_under(settled.candidate.conditions + settled.implied)
        if settled is None or facts is None:
            if not draft.inherited:
                _refuse_unreachable(draft, reachable, reader)
            continue
        candidate = settled.candidate
        _check_whens(settled, reachable, reader)
        _check_drawn_once(settled, facts, reachable, reader)
        _check_default(settled, facts, reachable, reader)
        _check_depths(settled, facts, reachable, reader)
        reachable.add(candidate, facts)
        if candidate.domain is not None:
            conditions = candidate.conditions + settled.implied
            entries.append(
                Entry(
                    key=candidate.key,
                    name=candidate.name,
                    domain=candidate.domain,
                    conditions=conditions,
                    inherited=draft.inherited,
                )
            )
    return entries


def _without_constants(draft: _Draft, reachable: Reachable) -> _Draft | None:
    """Remove the conditions on names that this space leaves at their defaults; return None if a condition fails."""
    conditions = draft.candidate.conditions + draft.implied
    constant = [
        condition for condition in conditions if condition.key in PARAMETERS and not reachable.is_given(condition.key)
    ]
    if not all(condition.allows(PARAMETERS[condition.key].default()) for condition in constant):
        return None
    remaining = tuple(condition for condition in draft.candidate.conditions if condition not in constant)
    implied = tuple(condition for condition in draft.implied if condition not in constant)
    return replace(draft, candidate=replace(draft.candidate, conditions=remaining), implied=implied)


def _refuse_unreachable(draft: _Draft, reachable: Reachable, reader: SpaceReader) -> None:
    path, name = draft.path, draft.candidate.name
    if draft.implied and name is not None:
        users = draft.implied[0].allowed
        plain = replace(draft, implied=())
        settled = _without_constants(plain, reachable)
        facts = None if settled is None else reachable.facts_under(settled.candidate.conditions)
        if facts is not None:
            rule = f"is used only by {', '.join(map(str, users))}, which this space never draws with it"
            chosen = reachable.possible_values(draft.implied[0].key, facts) or ()
            reader.refuse(path, rule + "".join(other_way(name, str(choice)) for choice in chosen))
            return
    if not _check_whens(draft, reachable, reader):
        reader.refuse(path, "can never be drawn: its conditions exclude each other")


def _check_whens(draft: _Draft, reachable: Reachable, reader: SpaceReader) -> bool:
    """Refuse each condition on a value that is never drawn; return whether there was such a condition."""
    has_problem = False
    for when in draft.when:
        if draft.inherited:
            continue
        for value in when.allowed:
            default = PARAMETERS[when.name].default()
            is_given = reachable.is_given(when.name)
            if not (reachable.may_be(when.name, value) if is_given else value == default):
                has_problem = True
                always = "" if is_given else f"; it is always {default}"
                reader.refuse(when.path, f"is a value that {when.name} never has here{always}", value)
    return has_problem


def _continuous(drafts: Iterable[_Draft], document: object, path: str) -> Iterable[Problem]:
    """Return a problem for each continuous range, which has no grid; for a shipped space, only one for each name."""
    problems: dict[Problem, None] = {}
    for draft in drafts:
        domain = draft.candidate.domain
        if not isinstance(domain, Range) or domain.size is not None:
            continue
        problem_path, owner = _place(draft, document, path)
        step = "" if domain.log else " or have a step"
        rule = f"{owner}must be listed (values){step} if search.algorithm is grid"
        problems[Problem(path=problem_path, rule=rule)] = None
    return problems


def _check_drawn_once(draft: _Draft, facts: Facts, reachable: Reachable, reader: SpaceReader) -> None:
    name = draft.candidate.name
    if name is None:
        return
    for rival in reachable.rivals(name, facts):
        reader.refuse(draft.path, f"gives {name} twice: it may be drawn together with {rival.key}")


def _check_default(draft: _Draft, facts: Facts, reachable: Reachable, reader: SpaceReader) -> None:
    """Refuse a range without a default if the vocabulary's default lies outside it.

    A weight decay of 0 is none, which a logarithmic range cannot contain: the default is then its smallest value.
    """
    candidate = draft.candidate
    domain = candidate.domain
    if candidate.name is None or not isinstance(domain, Range) or domain.default is not None:
        return
    entry = Entry(key=candidate.key, name=candidate.name, domain=domain)
    decider = PARAMETERS[candidate.name].decided_by or "backbone"
    for value in reachable.possible_values(decider, facts) or ():
        defaults = vocabulary_defaults(entry, {decider: value})
        if candidate.name == "optimizer.weight_decay" and defaults == (0.0,):
            continue
        if defaults and not any(domain.contains(default) for default in defaults):
            shown = f"{defaults[0]} for {value}" if decider != "backbone" else f"{defaults[0]}"
            reader.refuse(draft.path, f"needs a default, because the usual default lies outside it: {shown}")
            return


def _check_depths(draft: _Draft, facts: Facts, reachable: Reachable, reader: SpaceReader) -> None:
    """Refuse freeze depths that a backbone of this space does not have; those of an uncountable one stay open."""
    if draft.candidate.name != "freeze_depth":
        return
    for backbone in reachable.possible_values("backbone", facts) or ():
        if is_counting_forbidden() and backbone not in BACKBONES:
            continue
        for suffix, depth in _depths(draft):
            try:
                resolve_freeze_depth(depth, backbone=str(backbone))
            except ValueError as error:
                reader.refuse(draft.path + suffix, str(error), depth)


def _depths(draft: _Draft) -> list[tuple[str, int | str]]:
    domain = draft.candidate.domain
    depths: list[tuple[str, Value]] = []
    if isinstance(domain, Fixed):
        depths = [("", domain.value)]
    elif isinstance(domain, Choice):
        depths = [(f".values[{i}]", value) for i, value in enumerate(domain.values)]
    elif isinstance(domain, Range):
        depths = [(".min", int(domain.min)), (".max", int(domain.max))]
    return [(suffix, depth) for suffix, depth in depths if isinstance(depth, int | str)]
