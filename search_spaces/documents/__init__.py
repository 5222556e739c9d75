"""YAML documents read and written as plain data, changes to them, and problems with their places."""

from search_spaces.documents.amounts import format_size, parse_duration, parse_size
from search_spaces.documents.assignments import Assignment
from search_spaces.documents.problems import Location, join_path, problems_from, rule_of
from search_spaces.documents.reader import Document, load_document, read_document
from search_spaces.documents.writer import write_document

__all__ = [
    "Assignment",
    "Document",
    "Location",
    "format_size",
    "join_path",
    "load_document",
    "parse_duration",
    "parse_size",
    "problems_from",
    "read_document",
    "rule_of",
    "write_document",
]
