"""Parse a `space` document into a Space, or into all its problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from search_spaces.backbones import resolve_freeze_depth
from search_spaces.errors import MISSING, Problem, SpecError, did_you_mean
from search_spaces.recipes import PARAMETERS, Setting, Value
from search_spaces.spaces.clashes import Clash, clashes
from search_spaces.spaces.domains import Choice, Fixed, Range
from search_spaces.spaces.feasibility import Candidate, Facts, Reachable
from search_spaces.spaces.reader import SpaceReader
from search_spaces.spaces.shipped import SHIPPED, shipped_document
from search_spaces.spaces.space import Condition, Entry, Space, vocabulary_defaults
from search_spaces.spaces.syntax import Item, Leaf, When, merge


def parse_space(document: object, path: str = "space") -> Space:
    """The space that a document describes. Raises SpecError with every problem, each with its path."""
    space, problems = read_space(document, path)
    if problems:
        raise SpecError(problems)
    return space


def read_space(
    document: object, path: str = "space", *, grid: bool = False, setting: Setting | None = None
) -> tuple[Space, list[Problem]]:
    """The space of a document, and what is wrong with it; the space is only sound where nothing is.

    Of a `grid`, every domain must be finite. setting: what is known of the trainings that its recipes are for.
    """
    reader = SpaceReader()
    items = _items(document, path, reader)
    drafts = _ordered(_draft(items), reader)
    entries = _checked(drafts, reader)
    if grid:
        keys = {entry.key for entry in entries}
        reader.problems += _continuous((draft for draft in drafts if draft.candidate.key in keys), document, path)
    space = Space(tuple(entries))
    if not reader.problems:
        by_key = {draft.candidate.key: draft for draft in drafts}
        reader.problems += _together(clashes(space, setting or Setting()), by_key, document, path)
    return space, reader.problems


def _together(found: Iterable[Clash], drafts: Mapping[str, _Draft], document: object, path: str) -> Iterable[Problem]:
    """A problem for each name that a space draws beside what it cannot be with."""
    problems: dict[Problem, None] = {}
    for clash in found:
        if clash.entry is None:
            problems[Problem(path=path, rule=clash.text)] = None
            continue
        where, whose = _place(drafts[clash.entry.key], document, path)
        if clash.value is None:  # the text begins with the name of another
            whose = ""
        value = MISSING if clash.value is None else clash.value
        problems[Problem(path=where, rule=f"{whose}{clash.text}", value=value)] = None
    return problems


def _place(draft: _Draft, document: object, path: str) -> tuple[str, str]:
    """Return the place of a draft in the document, and how a rule begins if the draft is from a shipped space."""
    if not draft.inherited:
        return draft.path, ""
    assert isinstance(document, Mapping)
    return f"{path}.extends", f"{draft.candidate.name} of {document['extends']} "


def _items(document: object, path: str, reader: SpaceReader) -> list[Item]:
    if not isinstance(document, Mapping) or "extends" not in document:
        return reader.group(document, path)
    name = document["extends"]
    own = reader.group({key: value for key, value in document.items() if key != "extends"}, path)
    if not isinstance(name, str) or name not in SHIPPED:
        reader.refuse(f"{path}.extends", f"must be a shipped space{did_you_mean(str(name), SHIPPED)}", name)
        return own
    return merge(_items(shipped_document(name), path, reader), own, reader.problems)


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """A candidate entry with where it stands in the document."""

    candidate: Candidate
    when: tuple[When, ...]
    implied: tuple[Condition, ...]
    path: str
    inherited: bool

    @property
    def asks(self) -> set[str]:
        """The keys to be drawn before: those of its conditions, and what its default follows from."""
        asked = {condition.key for condition in self.candidate.conditions + self.implied}
        name = self.candidate.name
        if name is None:
            return asked
        if PARAMETERS[name].kind == "depth":
            return asked | {"backbone"}
        return asked | ({PARAMETERS[name].decided_by or name} - {name})


def _draft(items: Iterable[Item], qualifier: str = "", group: str = "", *outer: Condition) -> list[_Draft]:
    drafts: list[_Draft] = []
    for item in items:
        written = tuple(Condition(key=when.name, allowed=when.allowed) for when in item.when)
        if isinstance(item, Leaf):
            candidate = Candidate(
                key=_qualified(qualifier, group, item.name),
                name=item.name,
                domain=item.domain,
                conditions=(*outer, *written),
            )
            drafts.append(_drafted(item, candidate, _implied(item.name)))
            continue
        key = _qualified(qualifier, group, item.group) or "space"
        labels = tuple(branch.label for branch in item.branches)
        selector = Choice(values=labels, default=item.default)
        conditions = (*outer, *written)
        candidate = Candidate(key=key, name=None, domain=selector, conditions=conditions)
        drafts.append(_drafted(item, candidate, ()))
        for branch in item.branches:
            chosen = Condition(key=key, allowed=(branch.label,))
            drafts += _draft(branch.items, f"{key}[{branch.label}]", item.group, chosen)
    return drafts


def _drafted(item: Item, candidate: Candidate, implied: tuple[Condition, ...]) -> _Draft:
    return _Draft(candidate=candidate, when=item.when, implied=implied, path=item.path, inherited=item.inherited)


def _qualified(qualifier: str, group: str, name: str) -> str:
    """`name` below a branch: `optimizer.lr` below `optimizer[adamw]` is `optimizer[adamw].lr`."""
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
    """`drafts`, each after those it asks about, otherwise as written; what asks in a circle is refused."""
    ordered: list[_Draft] = []
    left = list(drafts)
    while left:
        ready = next((one for one in left if not any(one.asks & other.candidate.answers for other in left)), None)
        if ready is None:
            for draft in left:
                if draft.when:
                    circle = ", ".join(sorted({other.candidate.key for other in left}))
                    reader.refuse(draft.when[0].path, f"is part of a circle of conditions: {circle}")
            return ordered
        ordered.append(ready)
        left.remove(ready)
    return ordered


def _checked(drafts: list[_Draft], reader: SpaceReader) -> list[Entry]:
    reachable = Reachable()
    entries = []
    for draft in drafts:
        settled = _without_constants(draft, reachable)
        facts = None if settled is None else reachable.facts(settled.candidate.conditions + settled.implied)
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
    """`draft` without the conditions on names that this space leaves at their defaults; None if one fails."""
    asked = draft.candidate.conditions + draft.implied
    constant = [one for one in asked if one.key in PARAMETERS and not reachable.asked(one.key)]
    if not all(condition.allows(PARAMETERS[condition.key].default()) for condition in constant):
        return None
    conditions = tuple(one for one in draft.candidate.conditions if one not in constant)
    implied = tuple(one for one in draft.implied if one not in constant)
    return replace(draft, candidate=replace(draft.candidate, conditions=conditions), implied=implied)


def _refuse_unreachable(draft: _Draft, reachable: Reachable, reader: SpaceReader) -> None:
    path, name = draft.path, draft.candidate.name
    if draft.implied and name is not None:
        users = draft.implied[0].allowed
        plain = replace(draft, implied=())
        settled = _without_constants(plain, reachable)
        if settled is not None and reachable.facts(settled.candidate.conditions) is not None:
            reader.refuse(path, f"is used only by {', '.join(map(str, users))}, which this space never draws with it")
            return
    if not _check_whens(draft, reachable, reader):
        reader.refuse(path, "can never be drawn: its conditions exclude each other")


def _check_whens(draft: _Draft, reachable: Reachable, reader: SpaceReader) -> bool:
    """Refuses each condition on a value that is never drawn; whether there was one."""
    found = False
    for when in draft.when:
        if draft.inherited:
            continue
        for value in when.allowed:
            default = PARAMETERS[when.name].default()
            asked = reachable.asked(when.name)
            if not (reachable.may_be(when.name, value) if asked else value == default):
                found = True
                always = "" if asked else f"; it is always {default}"
                reader.refuse(when.path, f"is a value that {when.name} never has here{always}", value)
    return found


def _continuous(drafts: Iterable[_Draft], document: object, path: str) -> Iterable[Problem]:
    """A problem for each continuous range, of which there is no grid; one a name where the shipped space gives it."""
    found: dict[Problem, None] = {}
    for draft in drafts:
        domain = draft.candidate.domain
        if not isinstance(domain, Range) or domain.size is not None:
            continue
        where, whose = _place(draft, document, path)
        step = "" if domain.log else " or have a step"
        found[Problem(path=where, rule=f"{whose}must be listed (values){step} where search.algorithm is grid")] = None
    return found


def _check_drawn_once(draft: _Draft, facts: Facts, reachable: Reachable, reader: SpaceReader) -> None:
    name = draft.candidate.name
    if name is None:
        return
    for rival in reachable.rivals(name, facts):
        reader.refuse(draft.path, f"gives {name} twice: it may be drawn together with {rival.key}")


def _check_default(draft: _Draft, facts: Facts, reachable: Reachable, reader: SpaceReader) -> None:
    """Refuses a range without a default where the vocabulary's lies outside."""
    candidate = draft.candidate
    domain = candidate.domain
    if candidate.name is None or not isinstance(domain, Range) or domain.default is not None:
        return
    entry = Entry(key=candidate.key, name=candidate.name, domain=domain)
    decider = PARAMETERS[candidate.name].decided_by or "backbone"
    for value in reachable.possible(decider, facts) or ():
        defaults = vocabulary_defaults(entry, {decider: value})
        if defaults and not any(domain.contains(default) for default in defaults):
            shown = f"{defaults[0]} for {value}" if decider != "backbone" else f"{defaults[0]}"
            reader.refuse(draft.path, f"needs a default, because the usual one lies outside: {shown}")
            return


def _check_depths(draft: _Draft, facts: Facts, reachable: Reachable, reader: SpaceReader) -> None:
    """Refuses freeze depths that a backbone of this space does not have."""
    if draft.candidate.name != "freeze_depth":
        return
    for backbone in reachable.possible("backbone", facts) or ():
        for suffix, depth in _depths(draft):
            try:
                resolve_freeze_depth(depth, backbone=str(backbone))
            except ValueError as error:
                reader.refuse(draft.path + suffix, str(error), depth)


def _depths(draft: _Draft) -> list[tuple[str, int | str]]:
    domain = draft.candidate.domain
    found: list[tuple[str, Value]] = []
    if isinstance(domain, Fixed):
        found = [("", domain.value)]
    elif isinstance(domain, Choice):
        found = [(f".values[{i}]", value) for i, value in enumerate(domain.values)]
    elif isinstance(domain, Range):
        found = [(".min", int(domain.min)), (".max", int(domain.max))]
    return [(suffix, depth) for suffix, depth in found if isinstance(depth, int | str)]
