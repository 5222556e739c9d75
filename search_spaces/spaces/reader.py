"""Read a `space` document into its syntax tree: spelling, nesting and the values of each name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from search_spaces.documents import join_path
from search_spaces.errors import MISSING, Problem, did_you_mean
from search_spaces.recipes import PARAMETERS, Parameter, Value
from search_spaces.records import GROUPS
from search_spaces.spaces.domains import Choice, Domain, DomainError, Fixed, Range
from search_spaces.spaces.syntax import Branch, Leaf, Node, OneOf, When, with_when

_GROUP_KEYS: Final = ("one_of", "default", "when")
_RANGE_KEYS: Final = ("min", "max", "log", "step", "int")
_DOMAIN_KEYS: Final = ("value", "values", *_RANGE_KEYS, "default", "when")


class SpaceReader:
    """Read a document, and collect its problems in `problems`."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def refuse(self, path: str, rule: str, value: object = MISSING) -> None:
        """Add a problem: the value at `path` breaks `rule`."""
        self.problems.append(Problem(path=path, rule=rule, value=value))

    def read_group(self, raw: object, path: str, group: str = "") -> list[Node]:
        """Return the nodes of the mapping `raw`, whose keys are names below `group` (if that is empty, all names)."""
        if not isinstance(raw, Mapping):
            names = ", ".join(name for name in PARAMETERS if name.startswith(f"{group}."))
            hint = f"; its names are {names}" if group else ""
            self.refuse(path, f"must be a mapping{hint}", raw)
            return []
        nested = nest(raw, path, self.problems)
        nodes: list[Node] = []
        for key, value in nested.items():
            if key not in _GROUP_KEYS:
                nodes += self._named(value, join_path(path, key), f"{group}.{key}" if group else key, group)
        if "one_of" in nested:
            nodes += self._one_of(nested, path, group)
        elif "default" in nested:
            self.refuse(join_path(path, "default"), "belongs beside one_of, or below a name")
        when = self._when(nested.get("when"), join_path(path, "when"))
        return [with_when(node, when) for node in nodes]

    def _named(self, value: object, path: str, name: str, group: str) -> list[Node]:
        if name in PARAMETERS:
            return [self._leaf(value, path, PARAMETERS[name])]
        if name in GROUPS:
            return self.read_group(value, path, name)
        inside = [other.removeprefix(f"{group}.") for other in PARAMETERS if other.startswith(f"{group}.")]
        known = [*inside, "one_of"] if group else [*PARAMETERS, *GROUPS, "one_of"]
        self.refuse(path, f"unknown name{did_you_mean(name.rpartition('.')[2], known)}")
        return []

    def _one_of(self, raw: Mapping[str, Any], path: str, group: str) -> list[Node]:
        inner_path = join_path(path, "one_of")
        if not isinstance(raw["one_of"], list) or not raw["one_of"]:
            self.refuse(inner_path, "must be a list of mappings", raw["one_of"])
            return []
        branches: list[Branch] = []
        for index, alternative in enumerate(raw["one_of"]):
            nodes = tuple(self.read_group(alternative, join_path(inner_path, index), group))
            label = _label(nodes, group) or str(index)
            if any(label == branch.label for branch in branches):
                label = f"{label}#{index}"
            branches.append(Branch(label=label, nodes=nodes))
        default = raw.get("default")
        labels = [branch.label for branch in branches]
        if default is not None and str(default) not in labels:
            self.refuse(join_path(path, "default"), f"must name a branch{did_you_mean(str(default), labels)}", default)
            default = None
        return [
            OneOf(
                group=group,
                branches=tuple(branches),
                path=inner_path,
                default=None if default is None else str(default),
            )
        ]

    def _leaf(self, raw: object, path: str, parameter: Parameter) -> Leaf:
        problems_before = len(self.problems)
        when: tuple[When, ...] = ()
        domain: Domain | None = None
        if isinstance(raw, Mapping):
            when = self._when(raw.get("when"), join_path(path, "when"))
            domain = self._domain(raw, path, parameter)
        elif isinstance(raw, list) and parameter.kind != "pair":
            self.refuse(path, "must be one value or a mapping; put a list under values", raw)
        else:
            value = self._value(raw, path, parameter)
            domain = None if value is None else Fixed(value=value)
        is_broken = len(self.problems) > problems_before
        return Leaf(name=parameter.name, domain=None if is_broken else domain, path=path, when=when)

    def _value(self, raw: object, path: str, parameter: Parameter) -> Value | None:
        try:
            return parameter.check(raw)
        except ValueError as error:
            self.refuse(path, str(error), raw)
            return None

    def _domain(self, raw: Mapping[str, Any], path: str, parameter: Parameter) -> Domain | None:
        for key in raw:
            if key not in _DOMAIN_KEYS:
                self.refuse(join_path(path, key), f"unknown key{did_you_mean(key, _DOMAIN_KEYS)}")
        forms = [form for form in ("value", "values") if form in raw]
        forms += ["min and max"] if any(key in raw for key in _RANGE_KEYS) else []
        if len(forms) != 1:
            given = f", not {' and '.join(forms)} together" if forms else ""
            self.refuse(path, f"needs one of value, values, or min and max{given}")
            return None
        default = None
        if raw.get("default") is not None:
            default = self._value(raw["default"], join_path(path, "default"), parameter)
        try:
            if forms == ["value"]:
                value = self._value(raw["value"], join_path(path, "value"), parameter)
                return None if value is None else Fixed(value=value, default=default)
            if forms == ["values"]:
                return self._choice(raw["values"], join_path(path, "values"), parameter, default)
            return self._range(raw, path, parameter, default)
        except DomainError as error:
            self.refuse(join_path(path, error.field), error.rule, error.value)
            return None

    def _choice(self, raw: object, path: str, parameter: Parameter, default: Value | None) -> Choice | None:
        if not isinstance(raw, list) or not raw:
            self.refuse(path, "must be a list of values", raw)
            return None
        values = [self._value(value, join_path(path, i), parameter) for i, value in enumerate(raw)]
        kept = tuple(value for value in values if value is not None)
        return Choice(values=kept, default=default) if len(kept) == len(values) else None

    def _range(self, raw: Mapping[str, Any], path: str, parameter: Parameter, default: Value | None) -> Range | None:
        if parameter.kind not in ("float", "int", "depth"):
            self.refuse(path, "is not a number, so it has no range: give value or values")
            return None
        whole = parameter.kind != "float"
        bounds: dict[str, Any] = {}
        for key in ("min", "max"):
            if key not in raw:
                self.refuse(join_path(path, key), "is required")
                continue
            bounds[key] = self._value(raw[key], join_path(path, key), parameter)
            if isinstance(bounds[key], str):
                self.refuse(join_path(path, key), "must be an integer", raw[key])
        for key in ("log", "int"):
            if not isinstance(raw.get(key, False), bool):
                self.refuse(join_path(path, key), "must be true or false", raw[key])
        if isinstance(raw.get("int"), bool) and raw["int"] != whole:
            rule = f"must be {str(whole).lower()}: {parameter.name} is {'an integer' if whole else 'not an integer'}"
            self.refuse(join_path(path, "int"), rule, raw["int"])
        if len(bounds) < 2 or not all(type(bound) in (int, float) for bound in bounds.values()):
            return None
        return Range(**bounds, log=raw.get("log") is True, step=raw.get("step"), integer=whole, default=default)

    def _when(self, raw: object, path: str) -> tuple[When, ...]:
        if raw is None:
            return ()
        if not isinstance(raw, Mapping):
            self.refuse(path, "must be a mapping of names to values", raw)
            return ()
        conditions = []
        for name, inner_path, values in _flat_names(raw, path):
            if name not in PARAMETERS:
                self.refuse(inner_path, f"unknown name{did_you_mean(name, PARAMETERS)}")
                continue
            allowed = self._allowed(values, inner_path, PARAMETERS[name])
            if allowed:
                conditions.append(When(name=name, allowed=allowed, path=inner_path))
        return tuple(conditions)

    def _allowed(self, raw: object, path: str, parameter: Parameter) -> tuple[Value, ...]:
        listed = raw if isinstance(raw, list) else [raw]
        if parameter.kind == "pair" and listed and not isinstance(listed[0], list):
            listed = [raw]
        if not listed:
            self.refuse(path, "must contain at least one value", raw)
        values = [self._value(value, path, parameter) for value in listed]
        return () if None in values else tuple(value for value in values if value is not None)


def nest(raw: Mapping[str, Any], path: str, problems: list[Problem]) -> dict[str, Any]:
    """Split the first part off each dotted key, so that dotted and nested spellings give the same mapping."""
    nested: dict[str, Any] = {}
    for key, value in raw.items():
        first, dot, rest = str(key).partition(".")
        _put(nested, first, {rest: value} if dot else value, join_path(path, first), problems)
    return nested


def _put(into: dict[str, Any], key: str, value: Any, path: str, problems: list[Problem]) -> None:
    if key not in into:
        into[key] = dict(value) if isinstance(value, Mapping) else value
    elif isinstance(into[key], dict) and isinstance(value, Mapping):
        for inner, inner_value in value.items():
            _put(into[key], str(inner), inner_value, join_path(path, str(inner)), problems)
    else:
        problems.append(Problem(path=path, rule="is given twice"))


def _flat_names(raw: Mapping[str, Any], path: str, prefix: str = "") -> Iterable[tuple[str, str, object]]:
    for key, value in raw.items():
        name, inner_path = f"{prefix}{key}", join_path(path, str(key))
        if isinstance(value, Mapping):
            yield from _flat_names(value, inner_path, f"{name}.")
        else:
            yield name, inner_path, value


def _label(nodes: tuple[Node, ...], group: str) -> str | None:
    """Return the `name` that a branch fixes; None if it fixes none."""
    for node in nodes:
        if isinstance(node, Leaf) and node.name == f"{group}.name" and isinstance(node.domain, Fixed):
            return str(node.domain.value)
    return None
