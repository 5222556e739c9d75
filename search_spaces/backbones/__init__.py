"""The table of the backbones that a recipe may name; needs no torch."""

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
    unknown_backbone_rule,
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
    "unknown_backbone_rule",
    "written_freeze_depth",
]
