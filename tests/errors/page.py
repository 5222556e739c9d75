"""The page docs/errors.md, from the cases and what they print. `make errors-doc` runs this file."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from service.settings import Home, prepare_environment
from tests.errors.cases import FOLDER_SHOWN, HOME_SHOWN, Case, Section, run
from tests.errors.data import IMAGES, MANIFESTS, SOURCES, SPLITS, STORES
from tests.errors.folders import Folder
from tests.errors.going_on import BACKUPS, GOING_ON
from tests.errors.machines import COMMAND_LINE, HOME, MACHINE, NAMES, SETTINGS
from tests.errors.own_code import OWN_BACKBONES, OWN_BACKBONES_AT_START, OWN_CODE, OWN_CODE_IN_TRIALS
from tests.errors.spaces import RECIPES, SPACES, TOGETHER
from tests.errors.sweep_files import KEYS, TEXT
from tests.errors.trials import TRIALS
from tests.errors.weights import WEIGHTS

Row = tuple[str, str]
"""A section's title, and what was wrong."""

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
SECTIONS = (
    *(COMMAND_LINE, NAMES, TEXT, KEYS, SETTINGS, SPACES, RECIPES, TOGETHER, WEIGHTS),
    *(SOURCES, MANIFESTS, SPLITS, IMAGES, STORES),
    *(OWN_CODE, OWN_CODE_IN_TRIALS, OWN_BACKBONES, OWN_BACKBONES_AT_START),
    *(TRIALS, MACHINE, HOME, GOING_ON, BACKUPS),
)
_COLUMNS = ("typed, or wrong", "printed")
_HEAD = f"""\
# Errors

What is printed when something is wrong: one message on stderr, no traceback (`--debug` shows it). Exit codes: 2 where
the command or the sweep file is wrong, 1 for the rest. Each row is what a test typed and read; `make errors-doc` writes
this page anew. `{FOLDER_SHOWN}` stands for the folder in which the command was typed, `{HOME_SHOWN}` for the home.

A sweep file's problems are named as `file:line:column path: rule (value)`. Where only a line or two are shown, the rest
of the file is right.
"""


def render(cells: Mapping[Row, str]) -> str:
    """The page; `cells`: what is printed, as `cell` shows it."""
    return "\n".join([_HEAD, *(_table(section, cells) for section in SECTIONS)])


def _table(section: Section, cells: Mapping[Row, str]) -> str:
    rows = [_row(case.wrong, cells[section.title, case.wrong]) for case in section.cases]
    head = f"## {section.title}\n\n{section.about} Exit code {section.exit_code}.\n"
    return "\n".join([head, _row(*_COLUMNS), _row("---", "---"), *rows, ""])


def _row(wrong: str, printed: str) -> str:
    return f"| {wrong} | {printed} |"


def read(page: str) -> dict[Row, str]:
    """The cells of a page: the reverse of `render`."""
    cells: dict[Row, str] = {}
    title = ""
    for line in page.splitlines():
        title = line.removeprefix("## ") if line.startswith("## ") else title
        found = re.fullmatch(r"\| (.*?) (?<!\\)\| (.*) \|", line)
        if found and found[1] not in ("---", _COLUMNS[0]):
            cells[title, found[1]] = found[2]
    return cells


def cell(printed: str) -> str:
    """What is printed, in a table: each line as code."""
    return "<br>".join(_quoted(line) for line in printed.splitlines())


def _quoted(line: str) -> str:
    """A line as code, leading spaces and backticks included."""
    mark = "``" if "`" in line else "`"
    inside = line.replace("|", "\\|").strip()
    padding = " " if "`" in line else ""
    return f"{mark}{padding}{inside}{padding}{mark}"


def every_case() -> Iterator[tuple[Section, Case]]:
    """Each case with its section, in the page's order."""
    for section in SECTIONS:
        for case in section.cases:
            yield section, case


def main() -> None:
    """Run every case and write the page."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        home = Home(Path(name) / "home").create()
        prepare_environment(home)
        from service.clusters.connections import connect, forking  # Ray reads its environment when it is imported

        cells = {}
        with forking(), connect():
            for number, (section, case) in enumerate(every_case()):
                place = Path(name) / str(number)
                place.mkdir()
                cells[section.title, case.wrong] = cell(run(case, Folder(place, home.root)).stderr)
    PAGE.write_text(render(cells), encoding="utf-8")


if __name__ == "__main__":
    main()
