"""What a case of a wrong input is, and how it is run: the real command, in this process, in a folder of its own."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from unittest import mock

from service.commands import app as cli
from tests.errors.folders import Folder
from tests.errors.privileges import as_anyone

HOME_SHOWN, FOLDER_SHOWN = "~/.meltpoint", "~/cells"
_NOWHERE = "http://127.0.0.1:9"
_SURROUNDINGS = {
    "NO_COLOR": "1",
    "COLUMNS": "120",
    "TERMINAL_WIDTH": "120",
    "http_proxy": _NOWHERE,
    "https_proxy": _NOWHERE,
    "HTTPS_PROXY": _NOWHERE,
}
"""A terminal that is always as wide, and no network."""

_BASE = {"name": "name: cells", "data": "data: {source: digits}", "space": "space: {batch_size: 32}"}


@dataclass(frozen=True)
class Case:
    """One thing that can be wrong.

    wrong: what was typed or is wrong, in Markdown, as the page says it; unique within the section.
    make: puts it into the folder, and returns the command's arguments, or what was printed if it ran it itself.
    like: what differs between machines, as a pattern, and what the page shows instead.
    """

    wrong: str
    make: Callable[[Folder], Sequence[str] | str]
    like: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """Cases that belong together, as a table of the page; every one ends with the same exit code.

    ray: what is wrong is found after Ray has started.
    """

    title: str
    about: str
    exit_code: int
    cases: Sequence[Case]
    ray: bool = False


def typed(snippet: str) -> Case:
    """A sweep file that is right but for `snippet`, whose first keys replace those of the same name."""
    keys = set(re.findall(r"^(\w+):", snippet, flags=re.MULTILINE))
    lines = [line for key, line in _BASE.items() if key not in keys]
    return written("\n".join([*lines, snippet]), shown=snippet)


def written(text: str, *, shown: str) -> Case:
    """A sweep file with exactly this text."""

    def make(folder: Folder) -> Sequence[str]:
        folder.write("sweep.yaml", text)
        return ["validate", "sweep.yaml"]

    return Case(code(shown), make)


def code(text: str) -> str:
    """`text` as code in a table's cell, a line after the other."""
    return "<br>".join(f"`{line}`".replace("|", "\\|") for line in text.strip("\n").splitlines())


@dataclass(frozen=True)
class Said:
    """How a case ended."""

    exit_code: int
    stdout: str
    stderr: str


def run(case: Case, folder: Folder) -> Said:
    """Make the case in `folder` and run it there; paths, and what `case.like` names, are as the page shows them."""
    with _as_before(), as_anyone(), contextlib.chdir(folder.path), folder.during:
        made = case.make(folder)
        said = Said(1, "", made) if isinstance(made, str) else meltpoint(made)
    shown = said.stderr
    for path, name in ((folder.home, HOME_SHOWN), (folder.path, FOLDER_SHOWN)):
        shown = shown.replace(str(path), name)
    for pattern, name in case.like.items():
        shown = re.sub(pattern, name, shown)
    return Said(said.exit_code, said.stdout, _unboxed(shown).strip())


def meltpoint(arguments: Sequence[str]) -> Said:
    out, err = io.StringIO(), io.StringIO()
    typed = mock.patch.object(sys, "argv", ["meltpoint", *arguments])
    with typed, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main()
            code: object = 0
        except SystemExit as end:
            code = end.code
    return Said(code if isinstance(code, int) else int(code is not None), out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _as_before() -> Iterator[None]:
    """Whatever a command changes in its process is undone: the environment, where modules come from, log levels."""
    path, modules = list(sys.path), set(sys.modules)
    loggers = [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    levels = [(logger, logger.level) for logger in loggers]
    with mock.patch.dict(os.environ, _SURROUNDINGS), warnings.catch_warnings():
        try:
            yield
        finally:
            sys.path[:] = path
            for name in [name for name in sys.modules if name not in modules and name.startswith("own_")]:
                del sys.modules[name]
            for logger, level in levels:
                if logger.level != level:
                    logger.setLevel(level)


def _unboxed(text: str) -> str:
    """What typer prints in a box, as lines: the box is as wide as the terminal."""
    inside = re.findall(r"^│ (.*?) *│$", text, flags=re.MULTILINE)
    return " ".join(inside) if inside else text
