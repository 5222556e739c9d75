"""Short texts of errors: the sentence that a user needs of what Ray or another library wrote on many lines."""

from __future__ import annotations

import re

__all__ = ["describe_error", "describe_memory_shortage", "shorten"]

_MEMORY = re.compile(r"[^\n.]*(?:running low on memory|due to (?:memory pressure|low memory))[^\n.]*", re.IGNORECASE)
_WAY_OUT = "let fewer trials run at once: a larger resources.cpu in the sweep file, or fewer slots on a service"


def describe_error(error: BaseException) -> str:
    """Return an error in one line: what `describe_memory_shortage` says, else the error's name and its first line."""
    text = str(error).strip()
    return describe_memory_shortage(text) or f"{type(error).__name__}: {text.partition(chr(10))[0]}"


def shorten(text: str) -> str:
    """Return what `describe_memory_shortage` says of a text, else the text's first line."""
    return describe_memory_shortage(text) or text.strip().partition("\n")[0]


def describe_memory_shortage(text: str) -> str | None:
    """Return Ray's first sentence about workers killed for lack of memory, and a way out; None for other texts."""
    match = _MEMORY.search(text)
    if match is None:
        return None
    sentence = match[0].strip()
    _, separator, message = sentence.partition("Error: ")  # a traceback's last line begins with the error's name
    return f"{(message if separator else sentence).rpartition('exception: ')[2]}; {_WAY_OUT}"
