"""The sweep file's JSON Schema, by which editors complete and check it; derived from sections and vocabulary.

It accepts whatever `load_spec` accepts. Of what `load_spec` refuses it refuses what can be seen in one place:
misspelt keys, wrong types, numbers out of range. Draft 7 is the newest that the YAML language server knows.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from search_spaces.schemas.space_schema import (
    BOUND_WORDS,
    Schema,
    open_choice,
    point_schema,
    space_definitions,
    space_schema,
)
from search_spaces.sweeps import METRICS, NAME_PATTERN, SECTIONS

__all__ = ["TITLE", "section_schema", "sweep_schema"]

TITLE: Final = "Meltpoint sweep file"


class _Untitled(GenerateJsonSchema):
    """Without a title for each field, which would only repeat its key."""

    def field_title_should_be_set(self, _schema: core_schema.CoreSchema) -> bool:
        return False


def sweep_schema() -> Schema:
    """The schema of a sweep file, ready for JSON."""
    properties: Schema = {
        "name": {
            "description": "the sweep's name, and the registered model's unless register.model says otherwise",
            "type": "string",
            "pattern": f"^{NAME_PATTERN.pattern}$",
        },
        "space": space_schema(),
    }
    properties |= {key: section_schema(key) for key in SECTIONS}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": TITLE,
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "data"],
        "anyOf": [
            {"required": ["space"]},
            {"properties": {"search": {"required": ["points"]}}, "required": ["search"]},
        ],
        "properties": {key: properties[key] for key in ("name", "data", "metric", "space", *SECTIONS)},
        "definitions": space_definitions(),
    }


def section_schema(key: str) -> Schema:
    """Return a section's schema; a key without a description gets that of its section."""
    schema: Schema = _standard(SECTIONS[key].model_json_schema(schema_generator=_Untitled))
    inner = schema.pop("$defs", {})
    schema.pop("title", None)
    properties = schema["properties"]
    if key == "search":
        about = properties["points"]["description"]
        properties["points"] = {"description": about, "type": "array", "items": point_schema(), "minItems": 1}
    if key == "metric":
        properties["name"] = {**properties["name"], **open_choice(METRICS, "metric", "val/")}
        del properties["name"]["type"]
    if key == "data":
        properties["split"] = {name: value for name, value in inner["SplitSpec"].items() if name != "title"}
    schema["description"] = " ".join(schema["description"].split())
    for one in properties.values():
        inside = (branch["description"] for branch in one.get("anyOf", ()) if "description" in branch)
        one.setdefault("description", next(inside, schema["description"]))
    return schema


def _standard(schema: Any) -> Any:
    """`schema` with pydantic's own words for bounds, which it leaves on fields with a validator, put right."""
    if isinstance(schema, list):
        return [_standard(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {BOUND_WORDS.get(word, word): _standard(value) for word, value in schema.items()}
