"""The formats in which a recipe can be exported."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from search_spaces.documents import write_document
from service.exports.documents import headline, write_recipe
from service.exports.lightning_configs import translate_for_lightning
from service.exports.recipe_files import RecipeFile
from service.exports.timm_settings import translate_for_timm
from service.exports.torchvision_arguments import translate_for_torchvision
from service.exports.translations import Translation
from service.formats import RecipeFormat

__all__ = ["format_recipe"]


_WHOLE_MANTISSA: Final = re.compile(r"(?<=[ ])(-?\d+)e([-+]\d+)$", re.MULTILINE)
"""Numbers such as 1e-08, which YAML 1.1 reads as text; it reads 1.0e-08 as a number."""


def format_recipe(file: RecipeFile, form: RecipeFormat) -> str:
    """Return the text of a recipe in a format; what another program cannot express is in the comment at its top."""
    return _WRITERS[form](file)


def _write_json(file: RecipeFile) -> str:
    return json.dumps(file.as_json(), indent=2, allow_nan=False) + "\n"


def _write_yaml(translate: Callable[[RecipeFile], Translation]) -> Callable[[RecipeFile], str]:
    def write(file: RecipeFile) -> str:
        made = translate(file)
        text = _WHOLE_MANTISSA.sub(r"\1.0e\2", write_document(made.settings))
        return made.as_comment(file, headline(file)) + text

    return write


def _write_arguments(file: RecipeFile) -> str:
    made = translate_for_torchvision(file)
    lines = [_argument(name, value) for name, value in made.settings.items()]
    return made.as_comment(file, headline(file)) + "".join(f"{line}\n" for line in lines)


def _argument(name: str, value: Any) -> str:
    return f"--{name}" if value is True else f"--{name} {value}"


_WRITERS: Final[Mapping[RecipeFormat, Callable[[RecipeFile], str]]] = MappingProxyType(
    {
        RecipeFormat.RECIPE: write_recipe,
        RecipeFormat.JSON: _write_json,
        RecipeFormat.TIMM: _write_yaml(translate_for_timm),
        RecipeFormat.TORCHVISION: _write_arguments,
        RecipeFormat.LIGHTNING: _write_yaml(translate_for_lightning),
    }
)
