"""The order in which queued sweeps start, and the reason why each waits."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from service.ledgers import Sweep, User
from service.queues.limits import Limits

__all__ = ["Obstacle", "Submission", "Waiting", "gpu_hours_spent", "next_to_start", "order_queue"]


class Obstacle(StrEnum):
    """The kind of thing that a queued sweep waits for."""

    SERVICE = "service"
    PLACE = "place"
    USER_LIMIT = "user_limit"
    GPU_HOURS = "gpu_hours"
    DISABLED = "disabled"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A submitted sweep, queued or under way. queued_at: UTC milliseconds since 1970."""

    sweep_id: str
    owner: str
    priority: int = 0
    queued_at: int = 0

    @classmethod
    def from_sweep(cls, sweep: Sweep) -> Submission:
        """Make it from a sweep that has an owner.

        A sweep that began before, and was paused or lost its driver, has its place among those of its owner by the
        time of its submission.
        """
        assert sweep.owner is not None, sweep.id
        queued_at = sweep.created_at if sweep.started_at else sweep.queued_at or sweep.created_at
        return cls(sweep_id=sweep.id, owner=sweep.owner, priority=sweep.priority, queued_at=queued_at)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A queued sweep at its position, from 1.

    obstacle, reason: the cause of waiting, as a kind and in words; both None if the sweep can start now.
    """

    sweep_id: str
    owner: str
    priority: int
    position: int
    obstacle: Obstacle | None = None
    reason: str | None = None


def order_queue(
    queued: Iterable[Submission],
    active: Iterable[Submission],
    users: Mapping[str, User],
    limits: Limits,
    *,
    problem: str | None = None,
) -> list[Waiting]:
    """Return the queued sweeps in the order in which they start, each with the reason why it waits.

    A higher priority comes first. Within a priority, users take turns: next is the user with the fewest sweeps ahead
    or under way, divided by the weight; then the oldest sweep. A sweep that has reached a limit of its user does not
    hold up the sweeps behind it.

    Args:
        queued: sweeps that wait, in any order.
        active: sweeps under way, each of which takes a place.
        users: the owners, by name. An owner who is missing has weight 1 and no limits.
        limits: limits of the service.
        problem: reason why the service starts no sweep at all.
    """
    under_way = Counter(sweep.owner for sweep in active)
    places = limits.max_active_sweeps - under_way.total()
    started: Counter[str] = Counter()
    waiting = []
    for position, sweep in enumerate(_take_turns(queued, under_way, users), start=1):
        obstacle, reason = _obstacle(
            sweep.owner,
            users.get(sweep.owner),
            sweeps=under_way[sweep.owner] + started[sweep.owner],
            free=places - started.total(),
            limits=limits,
            problem=problem,
        )
        if obstacle is None:
            started[sweep.owner] += 1
        waiting.append(
            Waiting(
                sweep_id=sweep.sweep_id,
                owner=sweep.owner,
                priority=sweep.priority,
                position=position,
                obstacle=obstacle,
                reason=reason,
            )
        )
    return waiting


def next_to_start(waiting: Iterable[Waiting]) -> list[str]:
    """Return the ids of the sweeps that can start now, first the one that comes first."""
    return [entry.sweep_id for entry in waiting if entry.obstacle is None]


def _take_turns(
    queued: Iterable[Submission], under_way: Mapping[str, int], users: Mapping[str, User]
) -> Iterable[Submission]:
    lines: defaultdict[str, deque[Submission]] = defaultdict(deque)
    for sweep in sorted(queued, key=lambda sweep: (-sweep.priority, sweep.queued_at, sweep.sweep_id)):
        lines[sweep.owner].append(sweep)
    ahead = Counter(under_way)

    def turn(owner: str) -> tuple[int, float, int, str]:
        first, user = lines[owner][0], users.get(owner)
        load = ahead[owner] / (1.0 if user is None else user.weight)
        return -first.priority, load, first.queued_at, first.sweep_id

    while lines:
        owner = min(lines, key=turn)
        yield lines[owner].popleft()
        ahead[owner] += 1
        if not lines[owner]:
            del lines[owner]


def _obstacle(
    owner: str, user: User | None, *, sweeps: int, free: int, limits: Limits, problem: str | None
) -> tuple[Obstacle, str] | tuple[None, None]:
    """Return the first thing that keeps a sweep from starting; sweeps: number of its owner's that have started."""
    if problem is not None:
        return Obstacle.SERVICE, problem
    if user is not None:
        if user.disabled_at is not None:
            return (
                Obstacle.DISABLED,
                f"{owner} is disabled; an admin can enable the user: meltpoint user set {owner} --enable",
            )
        hours = user.gpu_hours
        if hours is not None and user.gpu_seconds_used + user.gpu_seconds_reserved >= hours * 3600:
            return Obstacle.GPU_HOURS, gpu_hours_spent(user)
        if user.max_sweeps is not None and sweeps >= user.max_sweeps:
            return (
                Obstacle.USER_LIMIT,
                f"waits for {owner}: {sweeps} of {user.max_sweeps} sweeps of this user are under way",
            )
    if free <= 0:
        return (
            Obstacle.PLACE,
            f"waits for a place: {limits.max_active_sweeps} sweeps are under way, the limit of this service",
        )
    return None, None


def gpu_hours_spent(user: User) -> str:
    """Return the reason why a user's trials wait for GPU hours."""
    used, reserved = user.gpu_seconds_used / 3600, user.gpu_seconds_reserved / 3600
    running = f" and reserved {reserved:.1f} for running trials" if reserved >= 0.05 else ""
    return (
        f"{user.name} has used {used:.1f} of {user.gpu_hours:g} GPU hours{running}; "
        f"an admin can raise them: meltpoint user set {user.name} --gpu-hours N"
    )
