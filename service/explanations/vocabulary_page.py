"""Write docs/vocabulary.md from the records. `make vocabulary-doc` runs this file.

python -m service.explanations.vocabulary_page
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from search_spaces.recipes import CAUTIONS, PARAMETERS, RULES, Parameter
from search_spaces.records import AUGMENT_POLICIES, GROUPS, Record, record_name
from service.explanations.topics import PREFIXES, describe_defaults, describe_effect, describe_users, describe_values

__all__ = ["PAGE", "render"]

PAGE = Path(__file__).parents[2] / "docs" / "vocabulary.md"

_TITLES = {
    "optimizer": "Optimizer",
    "schedule": "Learning rate over time",
    "penalty": "Penalties on weights",
    "clip": "Gradient clipping",
    "dropout": "Dropout, DropConnect, stochastic depth",
    "head": "Head",
    "augment": "Augmentation",
    "mix": "Mixing and label smoothing",
    "averaging": "Averaging",
    "balance": "Balance of classes",
}
_BEGIN = """\
# The vocabulary

This page lists every name of a recipe. A sweep may vary all of them; a name that the [sweep file](sweep-file.md) does
not give has its default. `meltpoint explain NAME` shows the same in a terminal. `make vocabulary-doc` writes this page
from the records that the program reads.

Trials [share](sharing.md) the activations of frozen stages. The column "frozen stages" tells how a name affects this:
"""


def render() -> str:
    """Return the page as Markdown."""
    return "\n".join([_BEGIN, *_page()]) + "\n"


def _page() -> Iterator[str]:
    yield from (f"- *{prefix}*: {meaning}." for prefix, meaning in PREFIXES.items())
    yield "\n## Backbone and training\n"
    yield from _names([parameter for name, parameter in PARAMETERS.items() if "." not in name])
    for group, records in GROUPS.items():
        yield f"\n## {_TITLES[group]}\n"
        if len(records) > 1:
            yield from _records(group, records)
            yield ""
        else:
            yield f"{describe_effect(records[0])}\n"
        yield from _names([parameter for name, parameter in PARAMETERS.items() if name.startswith(f"{group}.")])
        if group == "augment":
            yield from _policies()
    yield "\n## Forbidden combinations\n\nThe program refuses these when it reads the file, with the line:\n"
    yield from (f"- {rule.statement}." for rule in RULES)
    yield "\n## Harmful combinations\n\nThese are allowed, but known to do harm; `meltpoint plan` warns of them:\n"
    yield from (f"- {caution.text} ({_linked(caution.paper)})." for caution in CAUTIONS)


def _names(parameters: list[Parameter]) -> Iterator[str]:
    yield "| name | values | default | meaning | frozen stages | source |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for parameter in parameters:
        used = (
            "" if parameter.active_for is None else f" (with `{parameter.active_for[0]}` {describe_users(parameter)})"
        )
        cells = [
            f"`{parameter.name}`",
            describe_values(parameter),
            describe_defaults(parameter),
            parameter.description + used,
            parameter.prefix,
            _linked(parameter.paper),
        ]
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _records(group: str, records: tuple[type[Record], ...]) -> Iterator[str]:
    yield f"| `{group}.name` | what it does | source |"
    yield "| --- | --- | --- |"
    for record in records:
        yield f"| `{record_name(record)}` | {_cell(describe_effect(record))} | {_cell(_linked(record.about.paper))} |"


def _policies() -> Iterator[str]:
    yield "\n| `augment.policy` | what it does | source |"
    yield "| --- | --- | --- |"
    for name, about in AUGMENT_POLICIES.items():
        yield f"| `{name}` | {_cell(about.description)} | {_cell(_linked(about.paper))} |"


def _linked(paper: str) -> str:
    """Turn `Name year, https://...` into a Markdown link."""
    parts = []
    for part in paper.split("; "):
        name, comma, rest = part.partition(", https://")
        address, _, place = rest.partition(" ")
        parts.append(f"[{name}](https://{address}){' ' + place if place else ''}" if comma else part)
    return "; ".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the page to docs/vocabulary.md."""
    PAGE.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
