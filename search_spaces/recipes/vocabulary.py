"""Every name of a recipe, derived from the records so that the names have only one list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from search_spaces.backbones import unknown_backbone_rule
from search_spaces.documents import broken_rule
from search_spaces.errors import did_you_mean
from search_spaces.extensions import ExtensionKind, count_own_stages, is_own
from search_spaces.recipes.recipe import Recipe, check_weights_source
from search_spaces.recipes.values import Value
from search_spaces.records import (
    GROUPS,
    SURVEYS,
    About,
    OpenChoice,
    Origin,
    Prefix,
    Record,
    UsedWith,
    record_name,
)

Kind = Literal["float", "int", "str", "pair", "depth", "choice"]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The limits of a number, or of each number of a pair: >=, >, <=, <."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A name of the vocabulary.

    Attributes:
        active_for: the choice that decides whether this name is used, and the values for which it is used; None if
            it is always used.
        defaults: the default for each record of the group (by the record's name), or under None if it is the same.
        own: the kind of the user's own function that a value may name; None if a value may not name a function.
    """

    name: str
    kind: Kind
    choices: tuple[str, ...]
    bounds: Bounds
    description: str
    paper: str
    prefix: Prefix
    active_for: tuple[str, frozenset[str]] | None
    defaults: Mapping[str | None, Value]
    _adapter: TypeAdapter[Any] | None = field(repr=False, compare=False)
    own: ExtensionKind | None = None

    @property
    def decided_by(self) -> str | None:
        """The name on whose value the default depends, such as optimizer.name for optimizer.lr; None if on none."""
        return None if None in self.defaults else f"{self.name.partition('.')[0]}.name"

    def default(self, chosen: object = None) -> Value | None:
        """Return the default if `decided_by` has the value `chosen`; None if this name is not used then."""
        if None in self.defaults:
            return self.defaults[None]
        return self.defaults.get(chosen) if isinstance(chosen, str) else None

    def check(self, value: object) -> Value:
        """Return `value` as the recipe keeps it; freeze depths stay as written.

        Raises:
            ValueError: `value` is refused; the message is the broken rule.
        """
        if self.kind == "choice":
            return self._check_choice(value)
        if self.kind == "depth":
            return _written_depth(value)
        assert self._adapter is not None
        try:
            checked: Value = self._adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(broken_rule(error.errors(include_url=False)[0])) from None
        return check_weights_source(str(checked)) if self.name == "weights" else checked

    def _check_choice(self, value: object) -> Value:
        if value in self.choices:
            return str(value)
        if self.own is None or not isinstance(value, str) or not is_own(value, self.own):
            hint = did_you_mean(str(value), self.choices)
            raise ValueError(
                unknown_backbone_rule(str(value)) if self.own == "backbone" else f"unknown {self.name}{hint}"
            )
        if self.own == "backbone":
            count_own_stages(value)  # refuses a broken backbone already here
        return value


def _written_depth(value: object) -> Value:
    if value == "all":
        return "all"
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be an integer or all")
    return value


def _bounds(info: FieldInfo) -> Bounds:
    bounds: dict[str, Any] = {}
    for entry in [*info.metadata, *_inner_metadata(info.annotation)]:
        for kind, key in ((Ge, "ge"), (Gt, "gt"), (Le, "le"), (Lt, "lt")):
            if isinstance(entry, kind):
                bounds[key] = getattr(entry, key)
    return Bounds(**bounds)


def _inner_metadata(annotation: Any) -> list[Any]:
    """Return the limits that are written on the members of a pair."""
    if get_origin(annotation) is not tuple:
        return []
    member = get_args(annotation)[0]
    return [entry for info in member.__metadata__ for entry in getattr(info, "metadata", [info])]


def _kind(name: str, info: FieldInfo) -> Kind:
    if name == "freeze_depth":
        return "depth"
    if get_origin(info.annotation) is Literal or _open_choice(info) is not None:
        return "choice"
    if get_origin(info.annotation) is tuple:
        return "pair"
    kinds: Mapping[Any, Kind] = {float: "float", int: "int", str: "str"}
    return kinds[info.annotation]


def _parameter(name: str, info: FieldInfo, about: About, defaults: Mapping[str | None, Value]) -> Parameter:
    kind = _kind(name, info)
    open_choice = _open_choice(info)
    origin = _marked(info, Origin)
    choices = tuple(map(str, get_args(info.annotation))) if open_choice is None else open_choice.known
    adapter: TypeAdapter[Any] | None = None
    if kind not in ("choice", "depth"):
        annotation: Any = Annotated[info.annotation, *info.metadata]
        adapter = TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))
    return Parameter(
        name=name,
        kind=kind,
        choices=choices if kind == "choice" else (),
        bounds=_bounds(info),
        description=info.description or about.description,
        paper=(origin or about).paper,
        prefix=(origin or about).prefix,
        active_for=_used_with(name, info),
        defaults=MappingProxyType(dict(defaults)),
        _adapter=adapter,
        own=None if open_choice is None else open_choice.kind,
    )


Mark = TypeVar("Mark")


def _marked(info: FieldInfo, kind: type[Mark]) -> Mark | None:
    return next((entry for entry in info.metadata if isinstance(entry, kind)), None)


def _open_choice(info: FieldInfo) -> OpenChoice | None:
    return _marked(info, OpenChoice)


def _used_with(name: str, info: FieldInfo) -> tuple[str, frozenset[str]] | None:
    used = _marked(info, UsedWith)
    return None if used is None else (f"{name.partition('.')[0]}.{used.field}", frozenset(used.values))


def _plain_parameter(name: str, info: FieldInfo) -> Parameter:
    about = next(entry for entry in info.metadata if isinstance(entry, About))
    return _parameter(name, info, about, {None: info.default})


def _group_parameters(group: str, records: tuple[type[Record], ...]) -> list[Parameter]:
    """Return the names of a group: its selector first, then each field of any record, once."""
    if len(records) == 1:
        (record,) = records
        return [
            _parameter(f"{group}.{field_name}", info, record.about, {None: info.default})
            for field_name, info in record.model_fields.items()
        ]
    users: dict[str, dict[str | None, type[Record]]] = {}
    for record in records:
        for field_name in record.model_fields:
            users.setdefault(field_name, {})[record_name(record)] = record
    names = users.pop("name")
    parameters = [_selector(group, names)]
    for field_name, by_name in users.items():
        first = next(iter(by_name.values()))
        defaults = {name: record.model_fields[field_name].default for name, record in by_name.items()}
        parameter = _parameter(f"{group}.{field_name}", first.model_fields[field_name], first.about, defaults)
        if len(by_name) < len(names):
            active_for = (f"{group}.name", frozenset(str(name) for name in by_name))
            parameter = replace(parameter, active_for=active_for)
        parameters.append(parameter)
    return parameters


def _selector(group: str, records: Mapping[str | None, type[Record]]) -> Parameter:
    return Parameter(
        name=f"{group}.name",
        kind="choice",
        choices=tuple(str(name) for name in records),
        bounds=Bounds(),
        description=f"which {group}",
        paper=SURVEYS[group],
        prefix="invariant",
        active_for=None,
        defaults=MappingProxyType({None: Recipe.model_fields[group].default.name}),
        _adapter=None,
    )


def _vocabulary() -> dict[str, Parameter]:
    parameters: list[Parameter] = []
    for name, info in Recipe.model_fields.items():
        parameters += _group_parameters(name, GROUPS[name]) if name in GROUPS else [_plain_parameter(name, info)]
    return {parameter.name: parameter for parameter in parameters}


PARAMETERS: Final[Mapping[str, Parameter]] = MappingProxyType(_vocabulary())
