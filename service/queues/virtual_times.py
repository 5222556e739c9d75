"""Virtual times: how much of a shared resource each of several flows has used, divided by the flow's weight."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

__all__ = ["VirtualTimes"]


@dataclass
class _Flow:
    """time: virtual time of the flow. lag: how far it is behind the system; None while it waits for more."""

    time: float
    lag: float | None = None
    has_used: bool = False


class VirtualTimes:
    """Start-time fair queueing among flows, on several servers, for uses whose length is known only afterwards.

    The flow with the lowest virtual time is next. A use of `amount` raises the flow's virtual time by amount / weight.
    The virtual time of the system is the lowest among the flows that wait for more. A flow that is new, or that comes
    back, starts there, or at its own time if that is later: idleness earns nothing, and leaving pays no debt.

    A flow that has all it wants keeps the lag that it had when it got it, but the lag does not grow: a flow that
    wants little while others wait has no claim later on what it did not want. (On one server this case is not there.)

    References:
        Goyal, Vin, Cheng: Start-time fair queueing. SIGCOMM 1996.
        Goyal, Guo, Vin: A hierarchical CPU scheduler for multimedia operating systems. OSDI 1996.
        Chandra, Adler, Goyal, Shenoy: Surplus fair scheduling. OSDI 2000 (several servers).
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._flows: dict[str, _Flow] = {}

    def observe(self, present: Collection[str], waiting: Collection[str]) -> None:
        """Take note of the flows that are present, and of those among them that wait for more.

        A flow that has left is forgotten once the system's virtual time has passed its own.
        """
        for name in present:
            flow = self._flows.setdefault(name, _Flow(self._now))
            if flow.lag is None and name not in waiting:
                flow.lag = max(0.0, self._now - flow.time)
        times = [self._flows[name].time for name in waiting]
        if not times:  # everybody has what they want: a busy period ends
            times = [max((self._flows[name].time for name in present), default=self._now)]
        self._now = max(self._now, min(times))
        for name, flow in list(self._flows.items()):
            if name not in present:
                flow.lag = 0.0
                if flow.time <= self._now:
                    del self._flows[name]
            elif name in waiting:
                flow.lag = None
            else:
                flow.lag = min(flow.lag or 0.0, max(0.0, self._now - flow.time))
                flow.time = max(flow.time, self._now - flow.lag)

    def charge(self, name: str, amount: float, weight: float = 1.0) -> None:
        """Charge a use; a flow that was never observed is charged nothing."""
        flow = self._flows.get(name)
        if flow is not None:
            flow.time += amount / weight
            flow.has_used = flow.has_used or amount > 0

    def time(self, name: str) -> float:
        """Return the virtual time of a flow that was observed."""
        return self._flows[name].time

    def has_used(self, name: str) -> bool:
        """Return whether the flow has been charged since it came."""
        return self._flows[name].has_used
