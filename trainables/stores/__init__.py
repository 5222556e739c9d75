"""Prepared images of a sweep: decoded once or streamed, shared by all trials of a node."""

from trainables.stores.locks import removable
from trainables.stores.plans import Machine

__all__ = ["Machine", "removable"]
