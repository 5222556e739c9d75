"""The log of a sweep: a line for each of its events that a reader of logs wants to see."""

from __future__ import annotations

from datetime import UTC, datetime

from service.formats import counted
from service.ledgers import Event, EventKind, Json

__all__ = ["describe_changes", "describe_confirming", "log_line"]


def log_line(event: Event) -> str | None:
    """Return the line of an event, such as `2026-11-29T10:00:00+00:00 s-1f2e3d-0001 started`; None if it has none."""
    text = _text(event.kind, event.payload)
    if text is None:
        return None
    time = datetime.fromtimestamp(event.at / 1000, tz=UTC).isoformat(timespec="seconds")
    return f"{time} {event.trial_id or event.sweep_id} {text}"


def describe_changes(payload: Json) -> str:
    """Return what an event of a changed sweep tells, such as `changed budget.trials from 24 to 64`."""
    changes = (f"{name} from {_written(old)} to {_written(new)}" for name, (old, new) in payload["changes"].items())
    return f"changed {', '.join(changes)}"


def describe_confirming(payload: Json) -> str:
    """Return what an event tells, such as `confirming: 3 finalists and the default on 4 seeds, 16 retrainings`."""
    finalists, seeds = counted(payload["finalists"], "finalist"), counted(payload["seeds"], "seed")
    retrainings = counted((payload["finalists"] + 1) * payload["seeds"], "retraining")
    return f"confirming: {finalists} and the default on {seeds}, {retrainings}"


def _written(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _text(kind: str, payload: Json) -> str | None:
    match kind:
        case EventKind.SWEEP_STATE:
            return f"{payload['state']}{_because(payload.get('error'))}"
        case EventKind.IMAGE_SKIPPED:
            return f"skipped {payload.get('name')}: {payload.get('reason')}"
        case EventKind.NOTICE:
            return str(payload.get("text"))
        case EventKind.CONFIRMING:
            return describe_confirming(payload)
        case EventKind.DECIDED:
            return str(payload.get("summary"))
        case EventKind.REGISTERED:
            return f"registered {payload.get('uri')}"
        case EventKind.PROMOTION:
            place = f"{payload.get('model')}@{payload.get('alias')}"
            return f"promotion to {place} {payload.get('status')}{_because('; '.join(payload.get('sentences', ())))}"
        case EventKind.SWEEP_CHANGED:
            return describe_changes(payload)
        case EventKind.PHASE:
            return None if payload.get("done") is not None else str(payload.get("phase"))
    return _trial_text(kind, payload)


def _trial_text(kind: str, payload: Json) -> str | None:
    match kind:
        case EventKind.TRIAL_STARTED:
            attempt = payload.get("attempt", 1)
            where = f" on {payload['node']}" if payload.get("node") else ""
            return f"started{where}" if attempt == 1 else f"started{where}, attempt {attempt}"
        case EventKind.TRIAL_REPORTED:
            return f"epoch {payload.get('epochs')}: {_number(payload.get('value'))}"
        case EventKind.TRIAL_WAITING:
            return f"{payload['state']}{_because(payload.get('error'))}"
        case EventKind.TRIAL_ENDED:
            best = payload.get("best_value")
            return f"{payload['state']}{'' if best is None else f', best {best:.4f}'}{_because(payload.get('error'))}"
    return None


def _because(error: object) -> str:
    return "" if not error else f": {str(error).splitlines()[0]}"


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "no value"
