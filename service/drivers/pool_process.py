"""The process of the pool of lanes."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from functools import partial

from search_spaces import ResourcesSpec
from service.clocks import now_ms
from service.clusters.allotments import allot
from service.clusters.placements import LaneShape
from service.drivers.lane_pool import LanePool, SweepFacts, join_ray
from service.drivers.tasks import PoolTasks
from service.ledgers import Ledger
from service.settings import Home

__all__ = ["PoolProcess"]


class PoolProcess(PoolTasks):
    """Serves drivers at the socket `address`. here: whether the Ray at `ray_address` was started for this pool."""

    def __init__(self, home: Home, address: str, ray_address: str, here: bool) -> None:
        self._home, self._address, self._ray_address, self._here = home, address, ray_address, here

    def serve(self) -> None:
        """Join Ray, and serve."""
        with closing(Ledger.open(self._home, clock=now_ms)) as ledger:
            pool = LanePool(
                self._address, default=_usual_shape, read_facts=partial(read_facts, ledger), here=self._here
            )
            pool.serve(partial(join_ray, self._ray_address))


def _usual_shape(cpus: float, gpus: float) -> LaneShape:
    """Return the shape of lanes for trials that ask for nothing special."""
    usual = allot(ResourcesSpec(), cpus=max(cpus, 1.0), gpus=gpus, trials=1)
    return usual.shape


def read_facts(ledger: Ledger, sweep_ids: Iterable[str]) -> dict[str, SweepFacts]:
    """Return the facts by which lanes are shared out, of those sweeps that there are."""
    users = {user.name: user for user in ledger.users.list()}
    facts = {}
    for sweep in ledger.sweeps.get_several(sweep_ids):
        user = users.get(sweep.owner or "")
        facts[sweep.id] = SweepFacts(
            owner=sweep.owner or "",
            weight=1.0 if user is None else user.weight,
            priority=sweep.priority,
            slot_cap=sweep.slot_cap,
            max_slots=None if user is None else user.max_slots,
            queued_at=sweep.queued_at or sweep.created_at,
        )
    return facts
