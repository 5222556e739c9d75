"""Events of a sweep as a service sends them."""

from __future__ import annotations

from service.schemas.base import Answer, JsonObject, Milliseconds

__all__ = ["EventModel", "EventsModel"]


class EventModel(Answer):
    """An event. A follower goes on after the last id that it has seen."""

    id: int
    """Ids rise in the order of the events; those of one sweep have gaps."""
    sweep_id: str
    trial_id: str | None = None
    kind: str
    """Kind, such as `trial_ended`; a client passes over kinds that it does not know."""
    payload: JsonObject
    at: Milliseconds


class EventsModel(Answer):
    """Events of a sweep, oldest first."""

    items: list[EventModel]
    next: int
    """Id of the last event, for the parameter `after`."""
    is_over: bool
    """True if no further event is to be expected."""
