"""Read, sample and describe spaces: distributions over recipes, from documents or shipped with the package."""

from search_spaces.spaces.descriptions import conditions, default_in, domain_as_written, domain_in_words, is_shown
from search_spaces.spaces.domains import Choice, Fixed
from search_spaces.spaces.grids import grid_size
from search_spaces.spaces.parser import read_space
from search_spaces.spaces.points import read_point, read_points, write_point
from search_spaces.spaces.shipped import SHIPPED, shipped_document, shipped_text
from search_spaces.spaces.space import Entry, Space, sample

__all__ = [
    "SHIPPED",
    "Choice",
    "Entry",
    "Fixed",
    "Space",
    "conditions",
    "default_in",
    "domain_as_written",
    "domain_in_words",
    "grid_size",
    "is_shown",
    "read_point",
    "read_points",
    "read_space",
    "sample",
    "shipped_document",
    "shipped_text",
    "write_point",
]
