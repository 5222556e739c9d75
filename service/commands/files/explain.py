"""`meltpoint explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from search_spaces.backbones import BACKBONES
from search_spaces.errors import did_you_mean
from service.errors import UsageError
from service.formats import Format
from service.terminals import Output, completions, print_data, print_table, stderr, stdout


def explain(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Without it every name is listed.", autocompletion=completions.topics),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Explain a name: of a recipe, an optimizer, a backbone, a space, a metric, an augmentation, a sweep-file key."""
    from service.explanations import find_topics

    if name is None:
        _list(output)
        return
    topics = find_topics(name)
    if not topics:
        raise UsageError(f"nothing is called {name}{_close_to(name)} (meltpoint explain lists every name)")
    if output is not Format.TABLE:
        print_data([{"name": topic.name, "kind": topic.kind, **dict(topic.facts())} for topic in topics], output)
        return
    for number, topic in enumerate(topics):
        if number:
            stdout().print()
        print_table([topic.name, topic.kind], topic.facts())


def _list(form: Format) -> None:
    from service.explanations import TOPICS

    rows = [topic for topic in TOPICS if topic.kind != "backbone"]
    if form is not Format.TABLE:
        print_data([{"name": topic.name, "kind": topic.kind, "what": topic.summary} for topic in rows], form)
        return
    print_table(["name", "kind", "what"], [[topic.name, topic.kind, topic.summary] for topic in rows])
    stderr().print(f"and {len(BACKBONES)} backbones: meltpoint backbones")
    stderr().print("next: meltpoint explain NAME")


def _close_to(name: str) -> str:
    """Return a hint at a close name, compared as a whole or by its last part."""
    from service.explanations import TOPICS

    whole = did_you_mean(name, {topic.name: None for topic in TOPICS})
    if whole:
        return whole
    by_part = {topic.name.rpartition("/")[2].rpartition(".")[2]: topic.name for topic in reversed(TOPICS)}
    return did_you_mean(name, by_part)
