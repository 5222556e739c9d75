"""The table of backbones that a recipe may name, known without torch."""

from search_spaces.backbones.table import (
    BACKBONES,
    COLUMNS,
    REFUSED_TABLE,
    TABLE,
    BackboneInfo,
    Interpolation,
    Sizing,
    map_side,
    refused,
    resolve_freeze_depth,
    stage_count,
    why_unknown,
    written_freeze_depth,
)

__all__ = [
    "BACKBONES",
    "COLUMNS",
    "REFUSED_TABLE",
    "TABLE",
    "BackboneInfo",
    "Interpolation",
    "Sizing",
    "map_side",
    "refused",
    "resolve_freeze_depth",
    "stage_count",
    "why_unknown",
    "written_freeze_depth",
]
