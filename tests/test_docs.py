"""The documents are true: their sweep files parse, their commands exist, their links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from typer.main import get_command

from search_spaces import PARAMETERS, SHIPPED, parse_spec
from service.commands.app import app
from service.explanations.vocabulary_page import PAGE, render
from service.settings.settings import Settings

ROOT = Path(__file__).parents[1]
SHARED: Final = ("-o", "--output", "--home", "--context", "-h", "--help")
"""Options that mean the same wherever they are, explained once."""
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_yaml_block_is_a_valid_sweep_file(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL):
        parse_spec(block, file=page.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "errors.md"], ids=lambda page: page.name)
def test_every_command_named_exists(page: Path) -> None:
    commands = set(getattr(get_command(app), "commands", {}))
    named = set(re.findall(r"`(?:\.venv/bin/)?meltpoint ([a-z]+)", page.read_text()))
    assert named <= commands


def test_the_vocabulary_page_says_what_the_records_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run `make vocabulary-doc`"


def commands() -> Iterator[tuple[str, Any]]:
    """Yield the words and the object of every command, including those of groups."""

    def below(command: Any, words: str) -> Iterator[tuple[str, Any]]:
        for name, inner in getattr(command, "commands", {}).items():
            yield f"{words}{name}", inner
            yield from below(inner, f"{words}{name} ")

    return below(get_command(app), "")


def test_the_commands_page_has_a_section_for_every_command_with_all_its_options() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    for name, command in commands():
        section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE)
        assert section is not None, name
        names = [part for param in command.params for part in (*param.opts, *param.secondary_opts)]
        options = [option for option in names if option.startswith("-") and option not in SHARED]
        missing = [option for option in options if not re.search(rf"(`|, ){re.escape(option)}", section[1])]
        assert missing == [], name
    assert all(f"`{option}" in page for option in SHARED if option != "-h")


def test_the_commands_page_has_every_setting_with_its_default_and_variable() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    for name in Settings.model_fields:
        assert f"| `{name}` | `MELTPOINT_{name.upper()}` |" in page


def test_the_commands_page_names_no_command_that_there_is_not() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    assert set(re.findall(r"^## ([a-z ]+)$", page, flags=re.MULTILINE)) == {name for name, _ in commands()}


def test_the_sweep_file_page_names_every_group_of_the_vocabulary_and_every_shipped_space() -> None:
    page = (ROOT / "docs" / "sweep-file.md").read_text()
    assert [group for group in {name.partition(".")[0] for name in PARAMETERS} if group not in page] == []
    assert [name for name in SHIPPED if f"`{name}`" not in page] == []


def test_make_targets_named_in_the_documents_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"`make ([a-z-]+)`", page.read_text()):
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_named_in_the_documents_exists(page: Path) -> None:
    for file, name in re.findall(r"`(tests/\S+?\.py)(?:::(\w+))?`", page.read_text()):
        assert (ROOT / file).exists(), file
        assert not name or f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"
