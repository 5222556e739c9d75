"""Searchers, which propose the next recipe."""

from service.searchers.searchers import Searcher, build_searcher

__all__ = ["Searcher", "build_searcher"]
