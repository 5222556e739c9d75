"""Explanations of every name that a sweep file or recipe may have."""

from service.explanations.topics import TOPICS, find_topics

__all__ = ["TOPICS", "find_topics"]
