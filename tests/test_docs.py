"""What the documents show is true: sweep files parse, commands exist, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from search_spaces import PARAMETERS, SHIPPED, parse_spec
from service.cli import app

ROOT = Path(__file__).parents[1]
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


def test_the_reference_names_every_command(request: pytest.FixtureRequest) -> None:
    readme = (ROOT / "README.md").read_text()
    assert all(f"meltpoint {name}" in readme for name in getattr(get_command(app), "commands", {}))


def test_the_sweep_file_page_names_the_whole_vocabulary_and_every_shipped_space() -> None:
    page = (ROOT / "docs" / "sweep-file.md").read_text()
    assert [name for name in PARAMETERS if name not in page] == []
    assert [name for name in SHIPPED if f"`{name}`" not in page] == []


def test_make_targets_named_in_the_documents_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"`make ([a-z-]+)`", page.read_text()):
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
