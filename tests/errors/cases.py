"""Cases of wrong input. Each runs the real command in this process, in a folder of its own."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from unittest import mock

from service.commands import app as cli
from tests.errors.folders import Folder
from tests.errors.privileges import as_anyone

HOME_SHOWN, FOLDER_SHOWN, CONFIG_SHOWN = "~/.meltpoint", "~/cells", "~/.config"
_NOWHERE = "http://127.0.0.1:9"
_SURROUNDINGS = {
    "NO_COLOR": "1",
    "COLUMNS": "120",
    "TERMINAL_WIDTH": "120",
    "http_proxy": _NOWHERE,
    "https_proxy": _NOWHERE,
    "HTTPS_PROXY": _NOWHERE,
}
"""Variables that fix the terminal's width and shut off the network."""

_BASE = {"name": "name: cells", "data": "data: {source: digits}", "space": "space: {batch_size: 32}"}


@dataclass(frozen=True)
class Case:
    """A wrong input.

    wrong: the page's words for the input, in Markdown; unique within the section.
    make: writes the input into the folder; returns the command's arguments, or the output if `make` ran the command.
    like: pattern -> text; the page shows the text in place of output that differs between machines.
    """

    wrong: str
    make: Callable[[Folder], Sequence[str] | str]
    like: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """Cases that share a table of the page and an exit code.

    ray: whether the command starts Ray before it finds the error.
    """

    title: str
    about: str
    exit_code: int
    cases: Sequence[Case]
    ray: bool = False


def typed(snippet: str) -> Case:
    """Return the case of a valid sweep file with `snippet`, whose keys replace the file's keys of the same name."""
    keys = set(re.findall(r"^(\w+):", snippet, flags=re.MULTILINE))
    lines = [line for key, line in _BASE.items() if key not in keys]
    return written("\n".join([*lines, snippet]), shown=snippet)


def written(text: str, *, shown: str) -> Case:
    """Return the case of a sweep file with exactly this text."""

    def make(folder: Folder) -> Sequence[str]:
        folder.write("sweep.yaml", text)
        return ["validate", "sweep.yaml"]

    return Case(code(shown), make)


def code(text: str) -> str:
    """Return `text` as code in a table's cell, line by line."""
    return "<br>".join(f"`{line}`".replace("|", "\\|") for line in text.strip("\n").splitlines())


@dataclass(frozen=True)
class Outcome:
    """The end of a case: exit code and output."""

    exit_code: int
    stdout: str
    stderr: str


_STEP = re.compile(r"^[a-z][A-Za-z ]+: \d+\.\d s\n", flags=re.MULTILINE)
"""Line of a step that took a second or more, as some do on a busy machine."""


def run(case: Case, folder: Folder) -> Outcome:
    """Make the case in `folder` and run it there; the output has the page's paths and the texts of `case.like`."""
    with _restored_process(folder), as_anyone(), contextlib.chdir(folder.path), folder.during:
        made = case.make(folder)
        outcome = Outcome(1, "", made) if isinstance(made, str) else meltpoint(made)
    shown = _STEP.sub("", outcome.stderr)
    for path, name in ((folder.home, HOME_SHOWN), (folder.config, CONFIG_SHOWN), (folder.path, FOLDER_SHOWN)):
        shown = shown.replace(str(path), name)
    for pattern, name in case.like.items():
        shown = re.sub(pattern, name, shown)
    return Outcome(outcome.exit_code, outcome.stdout, _unboxed(shown).strip())


def meltpoint(arguments: Sequence[str]) -> Outcome:
    """Run the command in this process."""
    out, err = io.StringIO(), io.StringIO()
    typed = mock.patch.object(sys, "argv", ["meltpoint", *arguments])
    with typed, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main()
            code: object = 0
        except SystemExit as end:
            code = end.code
    return Outcome(code if isinstance(code, int) else int(code is not None), out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _restored_process(folder: Folder) -> Iterator[None]:
    """Undo at exit the changes of a command to this process: environment, module path, imported modules, log levels."""
    surroundings = _SURROUNDINGS | {"XDG_CONFIG_HOME": str(folder.config)}
    path, modules = list(sys.path), set(sys.modules)
    loggers = [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    levels = [(logger, logger.level) for logger in loggers]
    no_opener = mock.patch.object(urllib.request, "_opener", None)  # one that other tests made knows no proxy
    with mock.patch.dict(os.environ, surroundings), no_opener, warnings.catch_warnings():
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
    """Return the text inside typer's box, whose width is the terminal's, as one line; another text as it is."""
    inside = re.findall(r"^│ (.*?) *│$", text, flags=re.MULTILINE)
    return " ".join(inside) if inside else text
