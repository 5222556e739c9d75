"""The architecture page, the glossary and the decisions name what there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from draw_folders import PICTURE, draw, read_arrows, reduced

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "docs" / "architecture.md",
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
]
TOPS = ("service/", "trainables/", "search_spaces/", "tests/", "docs/", "benchmarks/", "examples/")
PRIVATE_WORDS = {"side", "sides", "early", "wish", "wishes", "heed"}
LENGTHS = {("search_spaces/backbones/table.py", "map_side"), ("trainables/training/trainer.py", "side")}
"""A side of a square, in pixels, is no private word."""
LEFT: set[tuple[str, str]] = set()
"""Names that have yet to go."""


def identifiers(file: Path) -> Iterator[str]:
    """Yield the names that a file gives to functions, classes, parameters, variables and attributes."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_named_exists(page: Path) -> None:
    named = [path for path in re.findall(r"`([\w./-]+)`", page.read_text()) if path.startswith(TOPS)]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_hop_of_the_two_ways_is_a_function_of_its_file() -> None:
    hops = re.findall(
        r"^\| \d+ \| `(\S+)` \| `(\S+)` \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE
    )
    assert len(hops) > 20
    for file, function in hops:
        assert function in set(identifiers(ROOT / file)), (file, function)


def test_the_picture_is_what_the_imports_say() -> None:
    assert PICTURE.read_text(encoding="utf-8") == draw(read_arrows()), "run `make pictures`"


def test_an_arrow_is_left_out_only_if_a_longer_way_says_the_same() -> None:
    assert reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_the_glossary_gives_each_word_once_and_in_order() -> None:
    words = re.findall(r"^\| ([a-z ]+) \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)[1:]
    assert words == sorted(set(words))
    assert not PRIVATE_WORDS & set(words)


@pytest.mark.parametrize("package", ["service", "trainables", "search_spaces"])
def test_no_private_word_is_an_identifier(package: str) -> None:
    named = {
        (str(file.relative_to(ROOT)), name)
        for file in sorted((ROOT / package).rglob("*.py"))
        for name in identifiers(file)
        if PRIVATE_WORDS & set(name.lower().strip("_").split("_"))
    }
    assert named - LENGTHS - LEFT == set()
