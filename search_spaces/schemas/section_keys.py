"""Describe every key of a sweep file outside its space, from the schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from search_spaces.schemas.sweep_schema import sweep_schema

__all__ = ["SectionKey", "section_keys", "values_in_words"]

_BOUNDS: Final = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
_TYPES: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}


@dataclass(frozen=True, kw_only=True)
class SectionKey:
    """A key: its path in the file, its meaning, its values, and its default (None if there is none)."""

    path: str
    description: str
    values: str
    default: Any
    required: bool


@cache
def section_keys() -> tuple[SectionKey, ...]:
    """Return the sections and their keys, in the order of the file."""
    schema = sweep_schema()
    shallow = {**schema, "properties": {**schema["properties"], "space": {"description": "", "type": "object"}}}
    shallow["properties"]["space"]["description"] = schema["properties"]["space"]["description"]
    return tuple(_keys(shallow, ""))


def _keys(schema: Mapping[str, Any], above: str) -> Iterator[SectionKey]:
    for name, inner in schema.get("properties", {}).items():
        path = f"{above}{name}"
        yield SectionKey(
            path=path,
            description=inner["description"],
            values=values_in_words(inner),
            default=inner.get("default"),
            required=name in schema.get("required", ()),
        )
        options = [inner, *inner.get("anyOf", ())]
        mapping = next((option for option in options if "properties" in option), None)
        if mapping is not None:
            yield from _keys(mapping, f"{path}.")


def values_in_words(schema: Mapping[str, Any]) -> str:
    """Describe the values that a schema allows, such as `a whole number >= 1, <= 100`."""
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema and "properties" not in schema:
        return " or ".join(values_in_words(option) for option in schema["anyOf"] if option.get("type") != "null")
    bounds = ", ".join(f"{sign} {schema[word]:g}" for word, sign in _BOUNDS.items() if word in schema)
    words = _TYPES[schema["type"]]
    if "examples" in schema:
        words += f" such as {' or '.join(map(_example, schema['examples'][:2]))}"
    elif ":[A-Za-z_]" in schema.get("pattern", ""):
        words = "module:function"
    return f"{words} {bounds}".rstrip()


def _example(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
