"""Read and write YAML documents as plain data, change them, and name the place of each problem."""

from search_spaces.documents.amounts import format_size, parse_duration, parse_size
from search_spaces.documents.assignments import Assignment, read_assignments, written_assignments
from search_spaces.documents.paths import expand_user
from search_spaces.documents.problems import Location, broken_rule, join_path, problems_from
from search_spaces.documents.reader import MAX_BYTES, Document, Place, check_size, load_document, read_document
from search_spaces.documents.writer import write_document

__all__ = [
    "MAX_BYTES",
    "Assignment",
    "Document",
    "Location",
    "Place",
    "broken_rule",
    "check_size",
    "expand_user",
    "format_size",
    "join_path",
    "load_document",
    "parse_duration",
    "parse_size",
    "problems_from",
    "read_assignments",
    "read_document",
    "write_document",
    "written_assignments",
]
