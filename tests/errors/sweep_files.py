"""Errors of a sweep file's text and sections."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.errors.cases import Case, Section, typed, written
from tests.errors.folders import Folder

_RIGHT = "name: cells\ndata: {source: digits}\nspace: {batch_size: 32}\n"


def _file(content: str | bytes) -> Callable[[Folder], Sequence[str]]:
    def make(folder: Folder) -> Sequence[str]:
        folder.write("sweep.yaml", content)
        return ["validate", "sweep.yaml"]

    return make


def _bomb() -> str:
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 6)]
    return "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "\n".join(lines) + "\n"


TEXT = Section(
    "The sweep file's text",
    "`meltpoint validate sweep.yaml`, and every command that reads a sweep file.",
    2,
    [
        Case("no such file", lambda _: ["validate", "sweep.yaml"]),
        Case("a folder", lambda folder: ["validate", str(folder.photos().parent)]),
        Case("a file that is not UTF-8", _file(_RIGHT.encode() + "# caf\xe9".encode("latin-1"))),
        Case("an empty file", _file("")),
        Case("more than a megabyte", _file(_RIGHT + "#" * 1024 * 1024)),
        Case("aliases of aliases, 59,049 values when written out", _file(_RIGHT + _bomb())),
        Case("40 lists in each other", _file(_RIGHT + "budget: " + "[" * 40 + "]" * 40)),
        Case("10,000 digits", _file(_RIGHT + f"budget: {{trials: {'9' * 10_000}}}")),
        Case("two documents", _file(_RIGHT + "---\n" + _RIGHT)),
        written("name: cells\ndata: {source: digits\nspace: {}", shown="data: {source: digits"),
        written("name: cells\n\tdata: {source: digits}", shown="(tab) data: {source: digits}"),
        written("name: \0", shown="name: (a NUL byte)"),
        typed("budget: !!python/object:os.system {}"),
        typed("budget: *usual"),
        typed("metric: {}\nmetric: {}"),
        typed("budget: {1: 2}"),
        typed("budget: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"),
    ],
)

KEYS = Section(
    "The sweep file's sections",
    "A message lists all problems of a file, a line each; these files have one problem each.",
    2,
    [
        written("data: {source: digits}\nspace: {}", shown="(no name)"),
        written("name: cells\nspace: {}", shown="(no data)"),
        written("name: cells\ndata: {source: digits}", shown="(no space)"),
        typed("name: my cells"),
        typed("budgt: {trials: 3}"),
        typed("budget: 12"),
        typed("data: {source: digits, image_sise: 64}"),
        typed("data: {image_size: 64}"),
        typed("data: {source: 7}"),
        typed('data: {source: " "}'),
        typed("data: {source: digits, image_size: 4}"),
        typed("data: {source: digits, image_size: 2048}"),
        typed("data: {source: digits, image_size: 64.5}"),
        typed("data: {source: digits, interpolation: nearest}"),
        typed("data: {source: digits, disk: 20 gigabytes}"),
        typed("data: {source: digits, memory: 0}"),
        typed('data: {source: digits, root: ""}'),
        typed("data: {source: x.csv, columns: {label: breed, split: breed}}"),
        typed("data: {source: digits, split: {val: 0}}"),
        typed("data: {source: digits, split: {val: .nan}}"),
        typed("data: {source: digits, split: {val: lots}}"),
        typed("data: {source: digits, split: {test: 1.5}}"),
        typed("data: {source: digits, split: {val: 0.6, confirm: 0.3, test: 0.2}}"),
        typed("data: {source: digits, split: {seed: -1}}"),
        typed("metric: {name: val/acuracy}"),
        typed("metric: {name: val/loss, goal: maximize}"),
        typed("metric: {name: val/accuracy, goal: up}"),
        typed("metric: {name: my_metrics:cost}"),
        typed("metric: []"),
        typed("metric: [{name: latency_ms}]"),
        typed("metric: [{name: val/loss}, {name: latency, max: 20}]"),
        typed("metric: [{name: val/loss}, {name: latency_ms, min: 20}]"),
        typed("metric: [{name: val/loss}, {name: parameters, max: 5Q}]"),
        typed("metric: [{name: val/loss}, {name: val/ece, max: 2}]"),
        typed("metric: [{name: val/loss}, {name: val/loss, max: 1}]"),
        typed("search: {algorithm: bayes}"),
        typed("search: {from: last}"),
        typed("search: {from: [last], algorithm: grid}"),
        typed("search: {seed: 4294967296}"),
        typed("scheduler: {type: asha, grace_epochs: 0}"),
        typed("scheduler: {type: asha, grace_epochs: 8}\nbudget: {epochs: 5}"),
        typed("scheduler: {type: median, reduction_factor: 3}"),
        typed("scheduler: {type: asha, brackets: 3}\nbudget: {epochs: 9}"),
        typed("scheduler: {type: asha, brackets: 2, grace_epochs: 5}\nbudget: {epochs: 5}"),
        typed("search: {algorithm: grid}\nspace: {dropout.rate: {min: 0, max: 0.5}}"),
        typed("search: {algorithm: grid}\nspace: {optimizer.lr: {min: 1.0e-4, max: 1.0e-2, log: true}}"),
        typed("search: {algorithm: grid}\nspace: {extends: lecture7}"),
        typed(
            "search: {algorithm: grid}\n"
            "space: {batch_size: {min: 1, max: 2000}, dropout.rate: {min: 0, max: 0.9, step: 1.0e-3}}"
        ),
        typed("budget: {trials: 0}"),
        typed('budget: {trials: "12"}'),
        typed("budget: {wall: 30 minutes}"),
        typed("budget: {wall: 0s}"),
        typed("budget: {gpu_hours: .inf}"),
        typed("resources: {cpu: true}"),
        typed("resources: {gpu: half}"),
        typed("resources: {gpu: 1.5}"),
        typed("resources: {gpu: 0, accelerator: H100}"),
        typed("register: {}"),
        typed('register: {model: ""}'),
        typed("register: {model: models/cells}"),
    ],
)
