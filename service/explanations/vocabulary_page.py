"""docs/vocabulary.md, from the records. `make vocabulary-doc` runs this file.

python -m service.explanations.vocabulary_page
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from search_spaces.recipes import CAUTIONS, PARAMETERS, RULES, Parameter
from search_spaces.records import AUGMENT_POLICIES, GROUPS, Record, record_name
from service.explanations.topics import PREFIXES, defaults_of, how, users_of, values_of

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
    "balance": "Classes that differ in size",
}
_BEGIN = """\
# The vocabulary

Every name of a recipe. All of them may be swept; what a [sweep file](sweep-file.md) does not name is at its default.
`meltpoint explain NAME` says the same in a terminal. This page is made from the records that the program reads
(`make vocabulary-doc`).

How a name meets the frozen stages, whose activations trials [share](sharing.md):
"""


def render() -> str:
    """The page."""
    return "\n".join([_BEGIN, *_page()]) + "\n"


def _page() -> Iterator[str]:
    yield from (f"- *{prefix}*: {meaning}." for prefix, meaning in PREFIXES.items())
    yield "\n## Backbone and training\n"
    yield from _names([one for name, one in PARAMETERS.items() if "." not in name])
    for group, records in GROUPS.items():
        yield f"\n## {_TITLES[group]}\n"
        if len(records) > 1:
            yield from _records(group, records)
            yield ""
        else:
            yield f"{how(records[0])}\n"
        yield from _names([one for name, one in PARAMETERS.items() if name.startswith(f"{group}.")])
        if group == "augment":
            yield from _policies()
    yield "\n## What cannot be together\n\nRefused when the file is read, at its line:\n"
    yield from (f"- {rule.said}." for rule in RULES)
    yield "\n## What is known to do harm together\n\nAllowed; `meltpoint plan` names it:\n"
    yield from (f"- {caution.text} ({_linked(caution.paper)})." for caution in CAUTIONS)


def _names(parameters: list[Parameter]) -> Iterator[str]:
    yield "| name | values | default | what | frozen stages | from |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for one in parameters:
        used = "" if one.active_for is None else f" (with `{one.active_for[0]}` {users_of(one)})"
        cells = [
            f"`{one.name}`",
            values_of(one),
            defaults_of(one),
            one.description + used,
            one.prefix,
            _linked(one.paper),
        ]
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _records(group: str, records: tuple[type[Record], ...]) -> Iterator[str]:
    yield f"| `{group}.name` | what it does | from |"
    yield "| --- | --- | --- |"
    for record in records:
        yield f"| `{record_name(record)}` | {_cell(how(record))} | {_cell(_linked(record.about.paper))} |"


def _policies() -> Iterator[str]:
    yield "\n| `augment.policy` | what it does | from |"
    yield "| --- | --- | --- |"
    for name, about in AUGMENT_POLICIES.items():
        yield f"| `{name}` | {_cell(about.description)} | {_cell(_linked(about.paper))} |"


def _linked(paper: str) -> str:
    """`Name year, https://...` with the address behind the name."""
    parts = []
    for part in paper.split("; "):
        name, comma, rest = part.partition(", https://")
        address, _, place = rest.partition(" ")
        parts.append(f"[{name}](https://{address}){' ' + place if place else ''}" if comma else part)
    return "; ".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
