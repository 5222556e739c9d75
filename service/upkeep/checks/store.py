"""The store of checkpoints, if it is not the home."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from service.upkeep.checks.findings import PATIENCE_SECONDS, Finding, Surroundings, problem
from trainables.checkpoint_stores import probe_store, within_seconds
from trainables.errors import StoreError

__all__ = ["check_store"]


def check_store(surroundings: Surroundings) -> Iterator[Finding]:
    """Check that a small file can be written into the store, read and deleted."""
    store = surroundings.home.store
    if store is None:
        yield Finding(name="checkpoints", text="lie in the home; --store puts them elsewhere")
        return
    try:
        within_seconds(PATIENCE_SECONDS, partial(probe_store, store))
    except StoreError as error:
        yield problem("checkpoints", str(error), "mend that, or correct MELTPOINT_STORE")
    else:
        yield Finding(name="checkpoints", text=f"{store} can be written and read")
