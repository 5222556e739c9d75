"""The page docs/errors.md, from the cases and their output. `make errors-doc` runs this file."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from service.settings import Home, prepare_environment
from tests.errors.cases import FOLDER_SHOWN, HOME_SHOWN, Case, Section, run
from tests.errors.confirming import CONFIRMATIONS, UNCONFIRMABLE
from tests.errors.data import ARCHIVES, IMAGES, MANIFESTS, SOURCES, SPLITS, STORES
from tests.errors.folders import Folder
from tests.errors.going_on import BACKUPS, GOING_ON
from tests.errors.machines import COMMAND_LINE, HOME, MACHINE, NAMES, SETTINGS
from tests.errors.own_code import OWN_BACKBONES, OWN_BACKBONES_AT_START, OWN_CODE, OWN_CODE_IN_TRIALS
from tests.errors.production import EXPORTS, TRAININGS
from tests.errors.services import CONTEXTS, NODE, NODE_NEEDS, REFUSED_INPUT, REQUESTS, SERVE
from tests.errors.spaces import RECIPES, SPACES, TOGETHER
from tests.errors.sweep_files import KEYS, TEXT
from tests.errors.trials import TRIALS
from tests.errors.weights import WEIGHTS

Row = tuple[str, str]
"""A section's title, and `Case.wrong`."""

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
SECTIONS = (
    *(COMMAND_LINE, NAMES, TEXT, KEYS, SETTINGS, SPACES, RECIPES, TOGETHER, WEIGHTS),
    *(SOURCES, MANIFESTS, ARCHIVES, SPLITS, IMAGES, STORES),
    *(OWN_CODE, OWN_CODE_IN_TRIALS, OWN_BACKBONES, OWN_BACKBONES_AT_START),
    *(TRIALS, MACHINE, HOME, GOING_ON, BACKUPS, CONFIRMATIONS, UNCONFIRMABLE, EXPORTS, TRAININGS),
    *(SERVE, NODE, NODE_NEEDS, CONTEXTS, REQUESTS, REFUSED_INPUT),
)
_COLUMNS = ("wrong input", "output")
_HEAD = f"""\
# Errors

An error prints one message on stderr and no traceback (`--debug` shows the traceback). The exit code is 2 if the
command or the sweep file is wrong, else 1. A test runs every row of these tables; `make errors-doc` writes this page.
`{FOLDER_SHOWN}` stands for the working folder, `{HOME_SHOWN}` for the home.

A sweep file's problems have the form `file:line:column path: rule (value)`. If a row shows only a line or two of a
file, the rest of the file is right.
"""


def render(cells: Mapping[Row, str]) -> str:
    """Return the page; `cells`: the output of each case, made by `cell`."""
    return "\n".join([_HEAD, *(_table(section, cells) for section in SECTIONS)])


def _table(section: Section, cells: Mapping[Row, str]) -> str:
    rows = [_row(case.wrong, cells[section.title, case.wrong]) for case in section.cases]
    head = f"## {section.title}\n\n{section.about} Exit code {section.exit_code}.\n"
    return "\n".join([head, _row(*_COLUMNS), _row("---", "---"), *rows, ""])


def _row(wrong: str, printed: str) -> str:
    return f"| {wrong} | {printed} |"


def read(page: str) -> dict[Row, str]:
    """Return the cells of a page: the reverse of `render`."""
    cells: dict[Row, str] = {}
    title = ""
    for line in page.splitlines():
        title = line.removeprefix("## ") if line.startswith("## ") else title
        match = re.fullmatch(r"\| (.*?) (?<!\\)\| (.*) \|", line)
        if match and match[1] not in ("---", _COLUMNS[0]):
            cells[title, match[1]] = match[2]
    return cells


def cell(printed: str) -> str:
    """Return the output as a table's cell, each line as code."""
    return "<br>".join(_quoted(line) for line in printed.splitlines())


def _quoted(line: str) -> str:
    """Return a line as code in Markdown, also if it has backticks or a `|`."""
    mark = "``" if "`" in line else "`"
    inside = line.replace("|", "\\|").strip()
    padding = " " if "`" in line else ""
    return f"{mark}{padding}{inside}{padding}{mark}"


def every_case() -> Iterator[tuple[Section, Case]]:
    """Yield each section with each of its cases, in the page's order."""
    for section in SECTIONS:
        for case in section.cases:
            yield section, case


def main() -> None:
    """Run every case and write the page."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        home = Home(Path(name) / "home").create()
        prepare_environment(home)
        from service.clusters.connections import connect, forking  # Ray reads its environment at its import

        cells = {}
        with forking(), connect():
            for number, (section, case) in enumerate(every_case()):
                place = Path(name) / str(number)
                place.mkdir()
                cells[section.title, case.wrong] = cell(run(case, Folder(place, home.root)).stderr)
    PAGE.write_text(render(cells), encoding="utf-8")


if __name__ == "__main__":
    main()
