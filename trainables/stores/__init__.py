"""Prepared images of a sweep: decoded once or streamed, shared by all trials of a node."""

from trainables.stores.locks import lock_for_removal
from trainables.stores.plans import Capacity

__all__ = ["Capacity", "lock_for_removal"]
