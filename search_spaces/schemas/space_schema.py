"""JSON Schema (draft 7) of `space` and of `search.points`, derived from the vocabulary.

Names may be nested (`optimizer: {lr: ...}`) or dotted (`optimizer.lr: ...`); `one_of` and `when` may be anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from search_spaces.extensions import FUNCTION_PATTERN, ExtensionKind, installed_names
from search_spaces.recipes import PARAMETERS, Parameter
from search_spaces.records import GROUPS
from search_spaces.spaces import SHIPPED

__all__ = ["BOUND_WORDS", "Schema", "open_choice", "point_schema", "space_definitions", "space_schema"]

Schema = dict[str, Any]

_NUMBERS: Final = ("float", "int", "depth")
BOUND_WORDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_LONG_LIST: Final = 100
_DOMAIN_KEYS: Final = "value|values|min|max|log|step|int|default|when"
_WEIGHTS: Final = r"^(pretrained|random|[\s\S]*\.safetensors|[\s\S]+\.pth#sha256=[0-9a-fA-F]{64})$"


def space_definitions() -> Schema:
    """Return the definitions for `space` and `points`: domains, groups, conditions, and a branch of names."""
    definitions = {name: _domain(parameter) for name, parameter in PARAMETERS.items()}
    definitions |= {group: _group(group) for group in GROUPS}
    definitions |= {f"{name}.listed": _choice(PARAMETERS[name]) for name in PARAMETERS if _is_long(name)}
    definitions["when"] = {
        "description": "drawn only if each of these names has the given value, or one of the given values",
        **_names(_condition),
    }
    return definitions | {"names": _branch()}


def space_schema() -> Schema:
    """Return the schema of the `space` section."""
    schema = _branch()
    extends = {
        "description": "a shipped space to start from; the other keys replace its keys",
        "enum": list(SHIPPED),
    }
    schema["description"] = "a distribution over recipes: each name with its domain"
    schema["properties"] = {"extends": extends, **schema["properties"]}
    return schema


def point_schema() -> Schema:
    """Return the schema of an entry of `search.points`: values by name, or the path of a recipe file."""
    return {
        "description": "differences from the default recipe, or the path of a recipe file",
        "anyOf": [_names(_described), {"type": "string", "minLength": 1}],
    }


def open_choice(known: Iterable[str], kind: ExtensionKind, prefix: str = "") -> Schema:
    """Return the schema of a name in `known`, or of own code of this kind (with or without `prefix`)."""
    own: list[Schema] = [{"type": "string", "pattern": f"^({prefix})?{FUNCTION_PATTERN}$"}]
    if installed := installed_names(kind):
        own.append({"enum": [*installed, *(f"{prefix}{name}" for name in installed if prefix)]})
    return {"anyOf": [{"enum": list(known)}, *own]}


def _choice(parameter: Parameter) -> Schema:
    known = parameter.choices
    return {"enum": list(known)} if parameter.own is None else open_choice(known, parameter.own)


def _value(parameter: Parameter) -> Schema:
    bounds = {
        word: limit for bound, word in BOUND_WORDS.items() if (limit := getattr(parameter.bounds, bound)) is not None
    }
    if _is_long(parameter.name):
        return {"anyOf": [_ref(f"{parameter.name}.listed")]}
    if parameter.kind == "choice":
        return _choice(parameter)
    if parameter.kind == "depth":
        return {"anyOf": [{"const": "all"}, {"type": "integer"}]}
    if parameter.kind == "pair":
        return {"type": "array", "items": {"type": "number", **bounds}, "minItems": 2, "maxItems": 2}
    if parameter.kind == "str":
        return {"type": "string", "pattern": _WEIGHTS}
    return {"type": "integer" if parameter.kind == "int" else "number", **bounds}


def _is_long(name: str) -> bool:
    """Return whether the list of values is so long that only one definition has it."""
    return len(PARAMETERS[name].choices) > _LONG_LIST


def _described(parameter: Parameter) -> Schema:
    return {"description": _description(parameter), **_value(parameter)}


def _description(parameter: Parameter) -> str:
    return f"{parameter.description} ({parameter.paper})"


def _domain(parameter: Parameter) -> Schema:
    """Return the schema of a value, or of a mapping with value, values, or min and max."""
    value = _value(parameter)
    properties: Schema = {
        "value": {"description": "the only value", **value},
        "values": {
            "description": "a list of values, of which one is drawn",
            "type": "array",
            "items": value,
            "minItems": 1,
            "uniqueItems": True,
        },
        "default": {"description": "the value in the default recipe", "anyOf": [value, {"type": "null"}]},
        "when": _or_null("when"),
    }
    forms = [["value"], ["values"]]
    mapping: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    if parameter.kind in _NUMBERS:
        properties |= _range(parameter)
        forms.append(["min", "max"])
        mapping["dependencies"] = {key: ["min", "max"] for key in ("log", "step", "int")}
    mapping["oneOf"] = [{"required": form} for form in forms]
    return {"description": _description(parameter), "anyOf": [value, mapping]}


def _range(parameter: Parameter) -> Schema:
    bound = {"type": "integer"} if parameter.kind == "depth" else _value(parameter)
    return {
        "min": {"description": "lowest value", **bound},
        "max": {"description": "highest value", **bound},
        "log": {"description": "uniform in the logarithm", "type": "boolean"},
        "step": {"description": "distance between values", "type": ["number", "null"], "exclusiveMinimum": 0},
        "int": {"description": "whole numbers only", "const": parameter.kind != "float"},
    }


def _condition(parameter: Parameter) -> Schema:
    value = _value(parameter)
    return {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]}


def _names(describe: Callable[[Parameter], Schema]) -> Schema:
    """Return the schema of a mapping with every name, dotted or nested."""
    properties = {name: describe(parameter) for name, parameter in PARAMETERS.items()}
    for group in GROUPS:
        inner = {name: describe(PARAMETERS[f"{group}.{name}"]) for name in _fields(group)}
        properties[group] = {"type": "object", "additionalProperties": False, "properties": inner}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _fields(group: str) -> list[str]:
    return [name.removeprefix(f"{group}.") for name in PARAMETERS if name.startswith(f"{group}.")]


def _group(group: str) -> Schema:
    fields = _fields(group)
    about = GROUPS[group][0].about.description if len(GROUPS[group]) == 1 else f"kind of {group}, and its own names"
    properties = {field: _ref(f"{group}.{field}") for field in fields} | _alternatives(group)
    return _open_mapping(about, properties, rf"^({_either(fields)})\.({_DOMAIN_KEYS})$", r"^when\..+$")


def _branch() -> Schema:
    names = {name: _ref(name) for name in (*PARAMETERS, *GROUPS)}
    dotted = {f"{group}.{key}": schema for group in GROUPS for key, schema in _alternatives(group).items()}
    return _open_mapping(
        "names with their domains",
        names | _alternatives("names") | dotted,
        rf"^({_either(PARAMETERS)})\.({_DOMAIN_KEYS})$",
        rf"^(({_either(GROUPS)})\.)?when\..+$",
    )


def _alternatives(branch: str) -> Schema:
    return {
        "one_of": {
            "description": "alternatives, each with its own names; one of them is drawn",
            "type": "array",
            "items": _ref(branch),
            "minItems": 1,
        },
        "default": {"description": "the branch of the default recipe", "type": ["string", "integer", "null"]},
        "when": _or_null("when"),
    }


def _open_mapping(description: str, properties: Schema, *patterns: str) -> Schema:
    """Return the schema of a mapping with these keys; keys that match `patterns` may have any value."""
    return {
        "description": description,
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "patternProperties": {pattern: {} for pattern in patterns},
    }


def _either(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, names))


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _or_null(name: str) -> Schema:
    return {"anyOf": [_ref(name), {"type": "null"}]}
