"""Searchers, which propose the next recipe."""

from service.searchers.base import Proposal, Searcher
from service.searchers.selection import build_searcher

__all__ = ["Proposal", "Searcher", "build_searcher"]
