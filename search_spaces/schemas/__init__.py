"""JSON schemas of sweep files and spaces, for editors and for `explain`."""

from search_spaces.schemas.section_keys import SectionKey, section_keys
from search_spaces.schemas.space_schema import point_schema, space_definitions
from search_spaces.schemas.sweep_schema import TITLE, sweep_schema

__all__ = ["TITLE", "SectionKey", "point_schema", "section_keys", "space_definitions", "sweep_schema"]
