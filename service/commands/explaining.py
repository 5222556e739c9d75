"""`meltpoint explain`."""

from __future__ import annotations

from search_spaces.backbones import BACKBONES
from search_spaces.errors import did_you_mean
from service.errors import UsageError
from service.explanations import TOPICS
from service.explanations.topics import find
from service.formats import Format
from service.terminals import print_data, print_table, stderr, stdout


def explain(name: str | None, form: Format) -> None:
    """Print what a name means, or every name. Raises UsageError for an unknown one."""
    if name is None:
        _list(form)
        return
    found = find(name)
    if not found:
        raise UsageError(f"nothing is called {name}{_close_to(name)} (meltpoint explain lists every name)")
    if form is not Format.TABLE:
        print_data([{"name": topic.name, "kind": topic.kind, **dict(topic.tell())} for topic in found], form)
        return
    for number, topic in enumerate(found):
        if number:
            stdout().print()
        print_table([topic.name, topic.kind], topic.tell())


def _list(form: Format) -> None:
    rows = [topic for topic in TOPICS if topic.kind != "backbone"]
    if form is not Format.TABLE:
        print_data([{"name": topic.name, "kind": topic.kind, "what": topic.summary} for topic in rows], form)
        return
    print_table(["name", "kind", "what"], [[topic.name, topic.kind, topic.summary] for topic in rows])
    stderr().print(f"and {len(BACKBONES)} backbones: meltpoint backbones")
    stderr().print("next: meltpoint explain NAME")


def _close_to(name: str) -> str:
    """A close name, whole or by its last part."""
    whole = did_you_mean(name, {topic.name: None for topic in TOPICS})
    if whole:
        return whole
    by_part = {topic.name.rpartition("/")[2].rpartition(".")[2]: topic.name for topic in reversed(TOPICS)}
    return did_you_mean(name, by_part)
