"""The topics of `meltpoint explain`, derived from the tables that the program uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from search_spaces.backbones import BACKBONES
from search_spaces.recipes import PARAMETERS, RULES, Parameter
from search_spaces.records import AUGMENT_POLICIES, GROUPS, Prefix, Record, record_name
from search_spaces.schemas import SectionKey, section_keys
from search_spaces.spaces import SHIPPED, shipped_document
from search_spaces.sweeps import COST_INFOS, METRIC_INFOS, PARAMETER_COUNT
from trainables.weights import has_local_weights

__all__ = [
    "PREFIXES",
    "TOPICS",
    "Fact",
    "Topic",
    "describe_defaults",
    "describe_effect",
    "describe_users",
    "describe_values",
    "find_topics",
]

Fact = tuple[str, str]
"""A label and a text."""

PREFIXES: Final[dict[Prefix, str]] = {
    "invariant": "does not change the activations of the frozen stages: trials that differ in it can share them",
    "per view": "changes the activations of the frozen stages: trials with the same value can share them, view by view",
    "per batch": "mixes images before the frozen stages, so that each trial computes its own activations",
    "moves the boundary": "decides which stages are frozen, or what they compute: only trials with the same value "
    "can share activations",
}
_SIZINGS: Final = {
    "any": "any size",
    "resized": "other sizes too, with interpolated positions",
    "fixed": "no other size",
}


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A name, its kind, and the facts about it; two topics of different kinds may have the same name."""

    name: str
    kind: str
    summary: str
    facts: Callable[[], list[Fact]]

    def matches(self, query: str) -> bool:
        """Return whether `query` is the name, or its last part: `resnet18` matches the backbone of both libraries."""
        return query in (self.name, self.name.rpartition("/")[2], f"space.{self.name}")


def find_topics(name: str) -> list[Topic]:
    """Return the topics of exactly this name; if there are none, those that match it by their last part."""
    return [topic for topic in TOPICS if topic.name == name] or [topic for topic in TOPICS if topic.matches(name)]


def _parameter(parameter: Parameter) -> list[Fact]:
    name = parameter.name
    facts = [
        ("what", parameter.description),
        ("values", describe_values(parameter)),
        ("default", describe_defaults(parameter)),
    ]
    if parameter.active_for is not None:
        group = parameter.active_for[0].removesuffix(".name")
        facts.append(("used by", f"{group} {describe_users(parameter)}"))
    facts += [("frozen stages", PREFIXES[parameter.prefix]), ("paper", parameter.paper)]
    facts += [("not together", rule.statement) for rule in RULES if name in rule.names]
    return [*facts, ("in a sweep file", f"space.{name}")]


def describe_values(parameter: Parameter) -> str:
    """Describe the values of a name, such as `a number > 0, < 1`, or list the choices."""
    bounds = parameter.bounds
    signs = ((">", bounds.gt), (">=", bounds.ge), ("<", bounds.lt), ("<=", bounds.le))
    limits = ", ".join(f"{sign} {limit:g}" for sign, limit in signs if limit is not None)
    if parameter.name == "backbone":
        return f"{len(BACKBONES)} names: meltpoint backbones"
    if parameter.name == "weights":
        return "pretrained, random, FILE.safetensors, FILE.pth#sha256=DIGEST"
    words = {
        "choice": ", ".join(parameter.choices) + (", or module:function" if parameter.own else ""),
        "depth": "all, or a whole number of stages counted from the image; a negative number -k is all but the last k",
        "pair": f"two numbers, each {limits}",
        "int": f"a whole number {limits}",
        "float": f"a number {limits}",
    }
    return words[parameter.kind].strip()


def describe_users(parameter: Parameter) -> str:
    """List the choices that use a name, in their order; empty if the name is always used."""
    if parameter.active_for is None:
        return ""
    decider, users = parameter.active_for
    return ", ".join(choice for choice in PARAMETERS[decider].choices if choice in users)


def describe_effect(record: type[Record]) -> str:
    """Return a record's docstring, which says what it does, in one line."""
    return " ".join((record.__doc__ or "").split())


def describe_defaults(parameter: Parameter) -> str:
    """Describe the defaults, such as `0.01 for sgd, momentum; 0.001 for adam`."""
    users: dict[str, list[str]] = {}
    for user, value in parameter.defaults.items():
        users.setdefault(_word(value), []).append(str(user))
    if len(users) == 1:
        return next(iter(users))
    return "; ".join(f"{value} for {', '.join(names)}" for value, names in users.items())


def _word(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_word, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _group(group: str) -> list[Fact]:
    records = GROUPS[group]
    names = [name for name in PARAMETERS if name.startswith(f"{group}.")]
    facts = [("what", records[0].about.description)] if len(records) == 1 else []
    if len(records) > 1:
        facts = [("what", f"one of {', '.join(str(record_name(record)) for record in records)}")]
    return [*facts, ("names", ", ".join(names)), ("in a sweep file", f"space.{group}, or dotted, space.{names[0]}")]


def _record(group: str, record: type[Record]) -> list[Fact]:
    fields = [(name, info) for name, info in record.model_fields.items() if name != "name"]
    return [
        ("what", record.about.description),
        ("how", describe_effect(record)),
        *((f"{group}.{name}", f"{info.description}; default {_word(info.default)}") for name, info in fields),
        ("frozen stages", PREFIXES[record.about.prefix]),
        ("paper", record.about.paper),
        ("in a sweep file", f"space.{group}.name: {record_name(record)}"),
    ]


def _policy(name: str) -> list[Fact]:
    about = AUGMENT_POLICIES[name]
    facts = [("what", about.description), ("frozen stages", PREFIXES[about.prefix])]
    facts += [("paper", about.paper)] if about.paper else []
    return [*facts, ("in a sweep file", f"space.augment.policy: {name}")]


def _metric(name: str) -> list[Fact]:
    info = METRIC_INFOS[name]
    better = f"{info.goal.better_word} is better"
    facts = [("what", info.description), ("range", f"{info.range}; {better}")]
    facts += [("paper", info.paper)] if info.paper else []
    return [*facts, ("in a sweep file", f"metric.name: {name}")]


def _cost(name: str) -> list[Fact]:
    info = COST_INFOS[name]
    better = f"{info.goal.better_word} is better"
    facts = [("what", info.description), ("range", f"{info.range}; {better}")]
    example = "5M" if name == PARAMETER_COUNT else "20"
    return [*facts, ("in a sweep file", f"metric: [{{name: val/accuracy}}, {{name: {name}, max: {example}}}]")]


def _space(name: str) -> list[Fact]:
    keys = ", ".join(shipped_document(name))
    return [
        ("what", SHIPPED[name]),
        ("names", keys),
        ("in a sweep file", f"space.extends: {name}"),
        ("all of it", f"meltpoint spaces {name}"),
    ]


def _backbone(name: str) -> list[Fact]:
    info = BACKBONES[name]
    place = "on this machine" if has_local_weights(name) else "not on this machine"
    return [
        ("what", info.description),
        ("stages", f"{info.stages}: freeze_depth 0 to {info.stages}, or all"),
        ("features", f"{info.features} numbers per image"),
        ("images", f"trained on {info.input_size} px; {_SIZINGS[info.sizing]}"),
        ("weights", f"{info.weights_source or 'none known'}, {place}" if info.weights_source else "none known"),
        ("paper", info.paper),
        ("in a sweep file", f"space.backbone: {name}"),
    ]


def _key(key: SectionKey) -> list[Fact]:
    facts = [("what", key.description)]
    if key.values != "a mapping":
        facts.append(("values", key.values))
    if key.default is not None:
        facts.append(("default", _word(key.default)))
    elif key.required:
        facts.append(("default", "none, it is required"))
    return facts


def _topics() -> Iterator[Topic]:
    for name, parameter in PARAMETERS.items():
        yield _topic(name, "recipe name", parameter.description, partial(_parameter, parameter))
    for group, records in GROUPS.items():
        about = records[0].about.description if len(records) == 1 else f"kind of {group}, and its own names"
        yield _topic(group, "recipe group", about, partial(_group, group))
        for record in records if len(records) > 1 else ():
            about = record.about.description
            yield _topic(str(record_name(record)), group, about, partial(_record, group, record))
    for name, policy in AUGMENT_POLICIES.items():
        yield _topic(name, "augmentation", policy.description, partial(_policy, name))
    for name, metric in METRIC_INFOS.items():
        yield _topic(name, "metric", metric.description, partial(_metric, name))
    for name, cost in COST_INFOS.items():
        yield _topic(name, "cost", cost.description, partial(_cost, name))
    for name, about in SHIPPED.items():
        yield _topic(name, "shipped space", about, partial(_space, name))
    for key in section_keys():
        yield _topic(key.path, "sweep-file key", key.description, partial(_key, key))
    for name in BACKBONES:
        yield _topic(name, "backbone", "", partial(_backbone, name))


def _topic(name: str, kind: str, summary: str, facts: Callable[[], list[Fact]]) -> Topic:
    return Topic(name=name, kind=kind, summary=summary, facts=facts)


TOPICS: Final = tuple(_topics())
