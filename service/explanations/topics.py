"""Topics of `meltpoint explain`, derived from the tables of names."""

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
from search_spaces.sweeps import METRIC_INFOS
from trainables.weights import has_local_weights

__all__ = ["PREFIXES", "TOPICS", "Fact", "Topic", "defaults_of", "find", "how", "users_of", "values_of"]

Fact = tuple[str, str]
"""A label and its text."""

PREFIXES: Final[dict[Prefix, str]] = {
    "invariant": "does not change what the frozen stages compute: trials that differ in it can share that",
    "per view": "what the frozen stages compute can be shared by trials with the same value, view by view",
    "per batch": "mixes images before the frozen stages, so that trials with it compute them themselves",
    "moves the boundary": "decides which stages are frozen, or what they compute: only trials with the same value "
    "can share that",
}
_SIZINGS: Final = {
    "any": "any size",
    "resized": "other sizes too, its positions are interpolated",
    "fixed": "no other size",
}


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A name, what kind of thing it is, and what is known of it; one name may be two things."""

    name: str
    kind: str
    summary: str
    tell: Callable[[], list[Fact]]

    def answers(self, asked: str) -> bool:
        """Return whether `asked` is the topic's name or its last part, such as `resnet18`."""
        return asked in (self.name, self.name.rpartition("/")[2], f"space.{self.name}")


def find(name: str) -> list[Topic]:
    """Return the topics of exactly that name, else those whose last part it is."""
    return [topic for topic in TOPICS if topic.name == name] or [topic for topic in TOPICS if topic.answers(name)]


def _parameter(parameter: Parameter) -> list[Fact]:
    name = parameter.name
    facts = [("what", parameter.description), ("values", values_of(parameter)), ("default", defaults_of(parameter))]
    if parameter.active_for is not None:
        group = parameter.active_for[0].removesuffix(".name")
        facts.append(("used by", f"{group} {users_of(parameter)}"))
    facts += [("frozen stages", PREFIXES[parameter.prefix]), ("paper", parameter.paper)]
    facts += [("not together", rule.said) for rule in RULES if name in rule.names]
    return [*facts, ("in a sweep file", f"space.{name}")]


def values_of(parameter: Parameter) -> str:
    """Return the values of a parameter in words, such as `a number > 0, < 1`, or its choices."""
    bounds = parameter.bounds
    signs = ((">", bounds.gt), (">=", bounds.ge), ("<", bounds.lt), ("<=", bounds.le))
    limits = ", ".join(f"{sign} {limit:g}" for sign, limit in signs if limit is not None)
    if parameter.name == "backbone":
        return f"{len(BACKBONES)} names: meltpoint backbones"
    if parameter.name == "weights":
        return "pretrained, random, FILE.safetensors, FILE.pth#sha256=DIGEST"
    words = {
        "choice": ", ".join(parameter.choices) + (", or module:function" if parameter.own else ""),
        "depth": "all, or a whole number of stages from the image; a negative one leaves so many thawed",
        "pair": f"two numbers, each {limits}",
        "int": f"a whole number {limits}",
        "float": f"a number {limits}",
    }
    return words[parameter.kind].strip()


def users_of(parameter: Parameter) -> str:
    """The choices with which a name counts, in their order; empty where it always does."""
    if parameter.active_for is None:
        return ""
    decider, users = parameter.active_for
    return ", ".join(one for one in PARAMETERS[decider].choices if one in users)


def how(record: type[Record]) -> str:
    """Return the description of a record in one line."""
    return " ".join((record.__doc__ or "").split())


def defaults_of(parameter: Parameter) -> str:
    """Return defaults in words, such as `0.01 for sgd, momentum; 0.001 for adam`."""
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
        ("how", how(record)),
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
    at_hand = "at hand" if has_local_weights(name) else "not at hand"
    return [
        ("what", info.description),
        ("stages", f"{info.stages}: freeze_depth 0 to {info.stages}, or all"),
        ("features", f"{info.features} numbers an image"),
        ("images", f"trained on {info.input_size} px; {_SIZINGS[info.sizing]}"),
        ("weights", f"{info.weights_source or 'none known'}, {at_hand}" if info.weights_source else "none known"),
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
        about = records[0].about.description if len(records) == 1 else f"which {group}, and what it takes"
        yield _topic(group, "recipe group", about, partial(_group, group))
        for record in records if len(records) > 1 else ():
            about = record.about.description
            yield _topic(str(record_name(record)), group, about, partial(_record, group, record))
    for name, policy in AUGMENT_POLICIES.items():
        yield _topic(name, "augmentation", policy.description, partial(_policy, name))
    for name, metric in METRIC_INFOS.items():
        yield _topic(name, "metric", metric.description, partial(_metric, name))
    for name, about in SHIPPED.items():
        yield _topic(name, "shipped space", about, partial(_space, name))
    for key in section_keys():
        yield _topic(key.path, "sweep-file key", key.description, partial(_key, key))
    for name in BACKBONES:
        yield _topic(name, "backbone", "", partial(_backbone, name))


def _topic(name: str, kind: str, summary: str, tell: Callable[[], list[Fact]]) -> Topic:
    return Topic(name=name, kind=kind, summary=summary, tell=tell)


TOPICS: Final = tuple(_topics())
