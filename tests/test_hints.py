"""Every command that a message names: it parses as it is printed, and where that is cheap it runs."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

from search_spaces import parse_spec
from service.clocks import now_ms
from service.commands.app import app
from service.ledgers import Ledger, SweepState
from service.terminals import hints
from tests.errors.cases import meltpoint
from tests.service.sweeps.sweeps import SPEC, add_sweep, add_trials

ROOT = Path(__file__).parents[1]
PLACEHOLDER = "{}"

REAL = {
    "sweep": "done",
    "spec": "sweep.yaml",
    "name": "ada",
    "user": "ada",
    "role": "viewer",
    "model": "cells",
    "alias": "champion",
    "recipe": "recipe.yaml",
    "url": "http://127.0.0.1:9",
    "file": "file",
    "data": "digits",
    "home": "home",
    "priority": "3",
    "assign": "budget.trials=4",
    "gpu_hours": "2",
    "max_trials": "100",
}
"""A value for each argument and option that a message fills in, or leaves to the user in capitals."""

EXAMPLES = {
    "resume {}{}": "resume done --set 'search.points[+]={optimizer.lr: 0.002}' --set budget.trials=3",
    "resume {} --set budget.trials={}": "resume done --set budget.trials=4",
    "explain NAME": "explain batch_size",
    "spaces {} -o yaml": "spaces lecture7 -o yaml",
    "spaces {}": "spaces lecture7",
    "spaces NAME": "spaces lecture7",
    "spaces SPEC": "spaces sweep.yaml",
    "user set {} {}": "user set ada --role viewer",
    "user add {}": "user add bob",
    "trials {}{}": "trials done",
    "sync{}": "sync",
    "train {}{}": "train recipe.yaml",
    "restore FILE": "restore ledger.zip",
    "cancel {}": "cancel paused",
    "change {} --priority {}": "change waiting --priority 0",
}
"""Commands as they are printed, if `REAL` alone does not make them."""

NEEDS = {
    "trains": ("run", "submit", "confirm", "train"),
    "needs a service, or becomes one": ("login", "serve", "queue", "user", "token"),
    "needs MLflow, or a model in it: tests/service/promotions and tests/service/tracking": (
        *("promote", "rollback", "ui", "sync"),
    ),
    "measures for seconds: tests/service/plans": ("plan",),
    "waits for a sweep: tests/service/terminals": ("watch",),
    "asked of the ledger in tests/service/sweeps/test_resumption.py": ("resume",),
    "needs the images and checkpoints of a sweep: tests/end_to_end": ("export", "report"),
    "needs a backup: tests/service/upkeep": ("restore",),
    "writes for a shell: tests/service/terminals/test_completions.py": ("completion",),
    "writes into the working folder, or checks the machine": ("init", "doctor"),
}
"""Commands that are only parsed here, by reason."""

LITERAL = (["explain", "metric"], *(["completion", shell] for shell in ("bash", "zsh", "fish")))
"""Arguments that are plain words, each with its command; other plain words belong to the sentence."""

ENDS_OTHERWISE = {"models": "was promoted", "rm": "nobody can be asked here"}
"""Commands that say that there is nothing yet or ask first, with a part of that sentence."""


@cache
def program() -> TyperGroup:
    command: object = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    return command


def text_of(node: ast.AST) -> str | None:
    """Return a text in the source, with `{}` for what is filled in; None for another expression."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else PLACEHOLDER for part in node.values)
    return None


def texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts of a module but for its docstrings, and each call of `print_next` as it prints."""
    for inner in ast.iter_child_nodes(node):
        is_docstring = isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant)
        text = text_of(inner)
        if text is not None:
            yield text
        elif not is_docstring:
            yield from texts(inner)
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id == "print_next":
            yield from (f"meltpoint {words}" for words in printed_words(inner))


def printed_words(call: ast.Call) -> Iterator[str]:
    """Yield what a call of `print_next` prints, for each command that it may name."""
    first, *others = [argument for argument in call.args if not isinstance(argument, ast.Starred)]
    names = (
        [text_of(branch) for branch in (first.body, first.orelse)] if isinstance(first, ast.IfExp) else [text_of(first)]
    )
    for name in names:
        for known in (
            [name] if name else ("resume", "export", "confirm", "watch", "trials")
        ):  # what next_command returns
            yield " ".join([known, *(text_of(other) or PLACEHOLDER for other in others)])


def cut(text: str) -> Iterator[str]:
    """Yield each command in a text with its arguments, up to the first word that it cannot take."""
    for start in re.finditer(r"meltpoint (?=[a-z])", text):
        rest = re.split(r"[;`<\n]| && |, |\. |\)", text[start.end() :])[0]
        words: list[str] = []
        command: Any = program()
        takes_value = False
        for written in rest.rstrip(".,)'\"").split(" "):
            word = written.removesuffix(PLACEHOLDER) if written.startswith("-") else written
            if isinstance(command, TyperGroup):
                inner = command.commands.get(word.removesuffix(PLACEHOLDER))
                if inner is None:
                    break
                command = inner
            elif word.startswith("-"):
                option = next((o for o in command.params if word.partition("=")[0] in o.opts), None)
                assert word == "--help" or option is not None, f"{word} is no option: {text}"
                takes_value = isinstance(option, TyperOption) and not option.is_flag and "=" not in word
            elif not takes_value and not re.search(r"\{\}|^[A-Z]+$|\.yaml$", word):
                if [*words, word] not in LITERAL:
                    break
            else:
                takes_value = False
            words.append(word)
        if words and not isinstance(command, TyperGroup):
            is_named_only = len(words) == 1 and text[: start.start()].endswith("`")
            if not is_named_only:
                yield " ".join(words)


@cache
def commands() -> dict[str, list[str]]:
    """Return every command that a message of the program names, with the files that name it."""
    places: dict[str, list[str]] = {}
    for package in ("service", "search_spaces", "trainables"):
        for file in sorted((ROOT / package).rglob("*.py")):
            if file.name == "vocabulary_page.py":
                continue
            for text in texts(ast.parse(file.read_text(encoding="utf-8"))):
                for command in cut(text):
                    places.setdefault(command, []).append(str(file.relative_to(ROOT)))
    return places


def as_typed(command: str) -> list[str]:
    """Return the words of a printed command with real values in place of what is filled in."""
    if command in EXAMPLES:
        return shlex.split(EXAMPLES[command])
    words = command.split(" ")
    here: Any = program()
    typed: list[str] = []
    arguments: list[str] = []
    waiting: str | None = None
    for word in words:
        if isinstance(here, TyperGroup):
            here = here.commands[word]
            arguments = [str(p.name) for p in here.params if isinstance(p, TyperArgument)]
        elif word.startswith("-") and word != "--help":
            option = next(o for o in here.params if word in o.opts)
            waiting = None if isinstance(option, TyperOption) and option.is_flag else str(option.name)
        elif PLACEHOLDER in word or word.isupper():
            name = waiting or arguments.pop(0)
            name = "sweep" if name == "sweeps" else name
            assert name in REAL, f"give a value for {name} of {command} in REAL, or the command in EXAMPLES"
            word, waiting = word.replace(PLACEHOLDER, REAL[name]) if PLACEHOLDER in word else REAL[name], None
        typed.append(word)
    return typed


def test_there_are_commands_in_messages() -> None:
    assert len(commands()) > 40
    assert {
        "sync",
        "ls",
        "user set {} --enable",
        "cache prune --dry-run",
        "submit SPEC",
        "trials {}",
    } <= commands().keys()
    assert set(EXAMPLES) <= commands().keys() | {"resume {} --set budget.trials={}"}, "no example is left over"


def test_the_commands_that_take_typed_options_are_known() -> None:
    def leaves(group: TyperGroup, path: str = "") -> Iterator[tuple[str, set[str | None]]]:
        for name, inner in group.commands.items():
            if isinstance(inner, TyperGroup):
                yield from leaves(inner, f"{name} ")
            else:
                yield f"{path}{name}", {parameter.name for parameter in inner.params}

    options_of = dict(leaves(program()))
    assert {name for name, options in options_of.items() if "home" in options} == hints.TAKE_HOME
    assert {name for name, options in options_of.items() if "context" in options} == hints.TAKE_CONTEXT


@pytest.mark.parametrize("command", sorted(commands()))
def test_a_command_that_a_message_names_is_one(command: str) -> None:
    words = as_typed(command)
    here: Any = program()
    if words[-1] == "--help":
        words = [*words[:-1], "ada"]
    context = typer.Context(here, info_name="meltpoint")
    while isinstance(here, TyperGroup):
        here = here.commands[words.pop(0)]
    parsed = here.make_context(here.name, words, parent=context)  # raises UsageError
    assert {parameter.name for parameter in here.params} >= set(parsed.params)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a sweep that is done and two that are paused, beside a sweep file."""
    folder = tmp_path_factory.mktemp("hints")
    (folder / "sweep.yaml").write_text(SPEC)
    (folder / "home").mkdir()
    ledger = Ledger.open_file(folder / "home" / "ledger.db", clock=now_ms)
    done = add_sweep(ledger, SweepState.RUNNING, text=SPEC.replace("cells", "done").replace("trials: 2", "trials: 3"))
    recipe = parse_spec(SPEC, file="s.yaml").space
    add_trials(ledger, done, 0.5, 0.75, recipe=recipe.recipe(recipe.default()).flat())
    ledger.sweeps.move(done.id, SweepState.COMPLETED)
    for name in ("paused", "waiting"):
        add_sweep(ledger, SweepState.PAUSED, text=SPEC.replace("cells", name))
    ledger.close()
    kept = {"MELTPOINT_HOME": str(folder / "home"), "XDG_CONFIG_HOME": str(folder), "NO_COLOR": "1"}
    with mock.patch.dict(os.environ, kept), contextlib.chdir(folder):
        yield folder


def is_run(command: str) -> bool:
    name = command.split(" ")[0].removesuffix(PLACEHOLDER)
    return name not in {name for names in NEEDS.values() for name in names}


@pytest.mark.parametrize("command", sorted(filter(is_run, commands())))
def test_a_command_that_a_message_names_runs(command: str, home: Path) -> None:
    words = as_typed(command)
    outcome = meltpoint(words)
    excuse = ENDS_OTHERWISE.get(words[0])
    assert outcome.exit_code == 0 or (excuse and excuse in outcome.stderr), outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_reasons_not_to_run_a_command_name_commands() -> None:
    assert {name for names in NEEDS.values() for name in names} <= program().commands.keys()


def test_messages_repeat_the_options_that_were_typed(home: Path) -> None:
    """Name a command that finds the sweep again, whatever home the message came from."""
    elsewhere = str(home / "home")
    with mock.patch.dict(os.environ, {"MELTPOINT_HOME": str(home / "nowhere")}):
        refused = meltpoint(["resume", "done", "--set", "budget.trials=2", "--home", elsewhere])
        printed = refused.stderr.strip().partition("meltpoint ")[2]
        assert f"--home {elsewhere}" in printed, refused.stderr
        shown = meltpoint(["status", "done", "--home", elsewhere])
        following = shlex.split(shown.stderr.strip().rpartition("next: meltpoint ")[2])
        assert meltpoint(following).exit_code == 0, following
        assert meltpoint(["trials", "done"]).exit_code == 1
