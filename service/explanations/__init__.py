"""Explanations of every name in the vocabulary."""

from service.explanations.topics import TOPICS

__all__ = ["TOPICS"]
