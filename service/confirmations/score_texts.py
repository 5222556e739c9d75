"""Scores and differences of scores as people read them: accuracies in percent, losses as they are."""

from __future__ import annotations

__all__ = ["difference_text", "interval_text", "score_text"]


def score_text(score: float, *, bounded: bool) -> str:
    """Return a score, such as `85.21%`; one without bounds is a negative loss, and shown as the loss: `0.4871`."""
    return f"{score:.2%}" if bounded else f"{-score + 0.0:.4f}"


def interval_text(low: float, high: float, *, bounded: bool) -> str:
    """Return an interval of a score from its lower to its higher end as shown."""
    first, last = (low, high) if bounded else (high, low)
    return f"{score_text(first, bounded=bounded)} to {score_text(last, bounded=bounded)}"


def difference_text(difference: float, *, bounded: bool) -> str:
    """Return a difference of scores with its sign, in points or in loss; a positive one is better also for losses.

    A difference that rounds to zero has no sign.
    """
    text = f"{100 * difference:+.2f}" if bounded else f"{difference:+.4f}"
    return text if float(text) else text[1:]
