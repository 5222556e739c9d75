"""The sweep file's JSON Schema, with which editors complete and check the file; derived from sections and vocabulary.

The schema accepts every file that `load_spec` accepts. It refuses misspelt keys, wrong types and numbers out of range,
but no combinations of keys. Draft 7 is the newest version that the YAML language server knows.
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
from search_spaces.sweeps import COSTS, METRICS, NAME_PATTERN, SECTIONS
from search_spaces.sweeps.objectives import MOST_METRICS

__all__ = ["TITLE", "section_schema", "sweep_schema"]

TITLE: Final = "Meltpoint sweep file"


class _Untitled(GenerateJsonSchema):
    """Generate no title for a field, because it would only repeat the key."""

    def field_title_should_be_set(self, _schema: core_schema.CoreSchema) -> bool:
        """Return False: no field has a title."""
        return False


def sweep_schema() -> Schema:
    """Return the schema of a sweep file, ready for JSON."""
    properties: Schema = {
        "name": {
            "description": "name of the sweep, and of the registered model unless register.model gives another",
            "type": "string",
            "pattern": f"^{NAME_PATTERN.pattern}$",
        },
        "space": space_schema(),
    }
    properties |= {key: section_schema(key) for key in SECTIONS}
    properties["metric"] = _one_or_several(properties["metric"])
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
    """Return the schema of a section; a key without a description has that of the section."""
    schema: Schema = _standard(SECTIONS[key].model_json_schema(schema_generator=_Untitled))
    inner = schema.pop("$defs", {})
    schema.pop("title", None)
    properties = schema["properties"]
    if key == "search":
        about = properties["points"]["description"]
        properties["points"] = {"description": about, "type": "array", "items": point_schema(), "minItems": 1}
    if key == "metric":
        properties["name"] = {**properties["name"], **open_choice([*METRICS, *COSTS], "metric", "val/")}
        del properties["name"]["type"]
    if key == "data":
        for name, mapping in (("split", "SplitSpec"), ("columns", "DataColumns")):
            properties[name] = {word: value for word, value in inner[mapping].items() if word != "title"}
    schema["description"] = " ".join(schema["description"].split())
    for key_schema in properties.values():
        inside = (branch["description"] for branch in key_schema.get("anyOf", ()) if "description" in branch)
        key_schema.setdefault("description", next(inside, schema["description"]))
    return schema


def _one_or_several(metric: Schema) -> Schema:
    """Return the schema of one metric, or of a list of metrics of which the first is optimised."""
    several = {"type": "array", "items": metric, "minItems": 1, "maxItems": MOST_METRICS}
    return {"description": metric["description"], "anyOf": [metric, several]}


def _standard(schema: Any) -> Any:
    """Replace pydantic's own words for bounds, which it leaves on fields with a validator, by the standard's."""
    if isinstance(schema, list):
        return [_standard(member) for member in schema]
    if not isinstance(schema, dict):
        return schema
    return {BOUND_WORDS.get(word, word): _standard(value) for word, value in schema.items()}
