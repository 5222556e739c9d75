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
_NOTES = {
    "optimizer": """
**Weight decay.** `optimizer.weight_decay` means the same as in torch. Of `sgd`, `momentum`, `nesterov`, `adagrad`,
`rmsprop` and `adam` it is coupled: decay times the weight is added to the gradient, and so passes through momentum and
averages. Of `adamw` and `lion` it is decoupled: each step multiplies the weight by 1 - lr x decay, apart from the
gradient; with `sgd` the two are the same. It takes in every trained weight, with biases and norms, after clipping. One
entry serves all optimizers of a space, and `lbfgs` leaves it out:

```yaml
name: decays
data: {source: digits}
space:
  optimizer:
    one_of: [{name: sgd, lr: 0.1}, {name: adam}, {name: adamw}]
    weight_decay: {min: 1.0e-6, max: 1.0e-2, log: true}
```

A range that does not contain the usual 0 starts at its smallest value in trial 0; no `default` is needed. With
`penalty.name: l2` the gradient gets 2 x `penalty.l2` x weight, so a coupled `weight_decay` of 1e-4 is a `penalty.l2` of
5e-5, half as much. Two differences remain: a penalty leaves out biases and norms, and it is added before clipping. Both
together add up.""",
    "balance": """
**Class weights with label smoothing.** An image's loss is the cross-entropy with the smoothed target (1 - s for its
class, plus s / C for each of the C classes), times the weight of its own class; the batch's loss is the sum of these,
divided by the number of images. torch's `CrossEntropyLoss(weight=w, label_smoothing=s)` differs in both: it weighs each
class's part of the smoothed target by that class's weight, and divides by the sum of the images' weights. Without
smoothing, the two differ only in the divisor. Here a batch's loss does not depend on how the batch is cut to fit into
memory.""",
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
        if group in _NOTES:
            yield _NOTES[group]
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
