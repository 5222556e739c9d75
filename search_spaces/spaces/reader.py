"""Read a `space` document into syntax nodes: spelling, nesting and the values of each name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from search_spaces.documents import join_path
from search_spaces.errors import MISSING, Problem, did_you_mean
from search_spaces.recipes import PARAMETERS, Parameter, Value
from search_spaces.records import GROUPS
from search_spaces.spaces.domains import Choice, Domain, DomainError, Fixed, Range
from search_spaces.spaces.syntax import Branch, Item, Leaf, OneOf, When, with_when

_GROUP_KEYS: Final = ("one_of", "default", "when")
_RANGE_KEYS: Final = ("min", "max", "log", "step", "int")
_DOMAIN_KEYS: Final = ("value", "values", *_RANGE_KEYS, "default", "when")


class SpaceReader:
    """Reads one document, collecting what is wrong with it in `problems`."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def refuse(self, path: str, rule: str, value: object = MISSING) -> None:
        """Note a problem at `path`."""
        self.problems.append(Problem(path=path, rule=rule, value=value))

    def group(self, raw: object, path: str, group: str = "") -> list[Item]:
        """Return the syntax nodes of the mapping `raw`, whose keys are names below `group` ("" for all names)."""
        if not isinstance(raw, Mapping):
            names = ", ".join(name for name in PARAMETERS if name.startswith(f"{group}."))
            hint = f"; its names are {names}" if group else ""
            self.refuse(path, f"must be a mapping{hint}", raw)
            return []
        nested = nest(raw, path, self.problems)
        items: list[Item] = []
        for key, value in nested.items():
            if key not in _GROUP_KEYS:
                items += self._named(value, join_path(path, key), f"{group}.{key}" if group else key, group)
        if "one_of" in nested:
            items += self._one_of(nested, path, group)
        elif "default" in nested:
            self.refuse(join_path(path, "default"), "belongs beside one_of, or to one name")
        when = self._when(nested.get("when"), join_path(path, "when"))
        return [with_when(item, when) for item in items]

    def _named(self, value: object, path: str, name: str, group: str) -> list[Item]:
        if name in PARAMETERS:
            return [self._leaf(value, path, PARAMETERS[name])]
        if name in GROUPS:
            return self.group(value, path, name)
        inside = [one.removeprefix(f"{group}.") for one in PARAMETERS if one.startswith(f"{group}.")]
        known = [*inside, "one_of"] if group else [*PARAMETERS, *GROUPS, "one_of"]
        self.refuse(path, f"unknown name{did_you_mean(name.rpartition('.')[2], known)}")
        return []

    def _one_of(self, raw: Mapping[str, Any], path: str, group: str) -> list[Item]:
        where = join_path(path, "one_of")
        if not isinstance(raw["one_of"], list) or not raw["one_of"]:
            self.refuse(where, "must be a list of mappings", raw["one_of"])
            return []
        branches: list[Branch] = []
        for index, one in enumerate(raw["one_of"]):
            items = tuple(self.group(one, join_path(where, index), group))
            label = _label(items, group) or str(index)
            if any(label == branch.label for branch in branches):
                label = f"{label}#{index}"
            branches.append(Branch(label=label, items=items))
        default = raw.get("default")
        labels = [branch.label for branch in branches]
        if default is not None and str(default) not in labels:
            self.refuse(join_path(path, "default"), f"must name a branch{did_you_mean(str(default), labels)}", default)
            default = None
        return [
            OneOf(
                group=group,
                branches=tuple(branches),
                path=where,
                default=None if default is None else str(default),
            )
        ]

    def _leaf(self, raw: object, path: str, parameter: Parameter) -> Leaf:
        found = len(self.problems)
        when: tuple[When, ...] = ()
        domain: Domain | None = None
        if isinstance(raw, Mapping):
            when = self._when(raw.get("when"), join_path(path, "when"))
            domain = self._domain(raw, path, parameter)
        elif isinstance(raw, list) and parameter.kind != "pair":
            self.refuse(path, "must be one value or a mapping; a list goes under values", raw)
        else:
            value = self._value(raw, path, parameter)
            domain = None if value is None else Fixed(value=value)
        broken = len(self.problems) > found
        return Leaf(name=parameter.name, domain=None if broken else domain, path=path, when=when)

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
        values = [self._value(one, join_path(path, i), parameter) for i, one in enumerate(raw)]
        kept = tuple(value for value in values if value is not None)
        return Choice(values=kept, default=default) if len(kept) == len(values) else None

    def _range(self, raw: Mapping[str, Any], path: str, parameter: Parameter, default: Value | None) -> Range | None:
        if parameter.kind not in ("float", "int", "depth"):
            self.refuse(path, "is not a number: give value or values")
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
            rule = f"must be {str(whole).lower()}: {parameter.name} is {'an integer' if whole else 'no integer'}"
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
        found = []
        for name, where, values in _flat_names(raw, path):
            if name not in PARAMETERS:
                self.refuse(where, f"unknown name{did_you_mean(name, PARAMETERS)}")
                continue
            allowed = self._allowed(values, where, PARAMETERS[name])
            if allowed:
                found.append(When(name=name, allowed=allowed, path=where))
        return tuple(found)

    def _allowed(self, raw: object, path: str, parameter: Parameter) -> tuple[Value, ...]:
        listed = raw if isinstance(raw, list) else [raw]
        if parameter.kind == "pair" and listed and not isinstance(listed[0], list):
            listed = [raw]
        if not listed:
            self.refuse(path, "must name at least one value", raw)
        values = [self._value(one, path, parameter) for one in listed]
        return () if None in values else tuple(value for value in values if value is not None)


def nest(raw: Mapping[str, Any], path: str, problems: list[Problem]) -> dict[str, Any]:
    """`raw` with the first part of each dotted key taken apart, so that both spellings are one."""
    nested: dict[str, Any] = {}
    for key, value in raw.items():
        first, dot, rest = str(key).partition(".")
        _put(nested, first, {rest: value} if dot else value, join_path(path, first), problems)
    return nested


def _put(into: dict[str, Any], key: str, value: Any, path: str, problems: list[Problem]) -> None:
    if key not in into:
        into[key] = dict(value) if isinstance(value, Mapping) else value
    elif isinstance(into[key], dict) and isinstance(value, Mapping):
        for inner, one in value.items():
            _put(into[key], str(inner), one, join_path(path, str(inner)), problems)
    else:
        problems.append(Problem(path=path, rule="is given twice"))


def _flat_names(raw: Mapping[str, Any], path: str, prefix: str = "") -> Iterable[tuple[str, str, object]]:
    for key, value in raw.items():
        name, where = f"{prefix}{key}", join_path(path, str(key))
        if isinstance(value, Mapping):
            yield from _flat_names(value, where, f"{name}.")
        else:
            yield name, where, value


def _label(items: tuple[Item, ...], group: str) -> str | None:
    """The `name` that a branch fixes."""
    for item in items:
        if isinstance(item, Leaf) and item.name == f"{group}.name" and isinstance(item.domain, Fixed):
            return str(item.domain.value)
    return None
