"""JSON Schema of recipe files, for editors."""

from __future__ import annotations

from typing import Any

from search_spaces.schemas import point_schema, space_definitions
from service.exports.recipe_files import RecipeFile

__all__ = ["recipe_schema"]


def recipe_schema() -> dict[str, Any]:
    """Return the schema of a recipe file, with every hyperparameter of the vocabulary, ready for JSON."""
    schema = RecipeFile.model_json_schema()
    about = schema["properties"]["recipe"]["description"]
    schema["properties"]["recipe"] = {**point_schema(), "description": about}
    listed = {name: made for name, made in space_definitions().items() if name.endswith(".listed")}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Meltpoint recipe file"}
    return {**schema, **head, "definitions": listed}
