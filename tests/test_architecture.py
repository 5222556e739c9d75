"""The names in the architecture page, the glossary and the decisions exist, and names in code are plain words."""

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
CODE = sorted(
    file
    for folder in ("search_spaces", "trainables", "service", "tests", "benchmarks", "docs", "examples")
    for file in (ROOT / folder).rglob("*.py")
)
NO_NAMES = {"of", "one", "found", "said", "told"}
"""Names that say nothing about their thing."""
NO_BEGINNINGS = {"what", "where", "who", "of", "that", "it", "one", "none", "as", "whether"}
"""First words of a docstring that is not a verb or a noun phrase."""
PRIVATE_WORDS = {"side", "sides", "early", "wish", "wishes", "heed", "hold", "holds", "judge", "judges"} | {
    "course",
    "courses",
    "item",
    "items",
}
PUBLIC_USES = {
    ("search_spaces/backbones/table.py", "map_side"),
    ("service/schemas/base.py", "items"),
    ("service/schemas/events.py", "items"),
    ("service/schemas/queue.py", "items"),
    ("tests/conftest.py", "item"),
    ("tests/conftest.py", "items"),
    ("tests/trainables/architectures/test_own_backbones.py", "side"),
    ("tests/trainables/augmentations/test_mixing.py", "SIDE"),
    ("tests/trainables/classifiers/test_pools.py", "side"),
    ("tests/trainables/devices/test_depthwise.py", "side"),
}
"""Uses of these words in their public sense: a side of a square in pixels, pytest's items, and the items of a page."""


def identifiers(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a file gives to functions, classes, parameters, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name is not None:
            yield node.name


def first_words(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and first word of each docstring of a module, class, function or attribute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value.strip().partition(" ")[0].rstrip(".,:;").lower()


def words_of(name: str) -> set[str]:
    """Return the words of an identifier, in lower case."""
    return set(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().strip("_").split("_"))


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.AST]:
    """The syntax trees of all Python in the repository, by path."""
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text()) for file in CODE}


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
        assert function in set(identifiers(ast.parse((ROOT / file).read_text()))), (file, function)


def test_the_picture_is_what_the_imports_say() -> None:
    assert PICTURE.read_text(encoding="utf-8") == draw(read_arrows()), "run `make pictures`"


def test_an_arrow_is_left_out_only_if_a_longer_way_says_the_same() -> None:
    assert reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_the_glossary_gives_each_word_once_and_in_order() -> None:
    words = re.findall(r"^\| ([a-z ]+) \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)[1:]
    assert words == sorted(set(words))
    assert not PRIVATE_WORDS & set(words)


def test_no_private_word_is_an_identifier(trees: dict[str, ast.AST]) -> None:
    named = {
        (file, name)
        for file, tree in trees.items()
        for name in identifiers(tree)
        if PRIVATE_WORDS & words_of(name) and not name.startswith("test_")
    }
    assert named - PUBLIC_USES == set()


def test_every_public_use_of_a_private_word_exists(trees: dict[str, ast.AST]) -> None:
    assert {(file, name) for file, name in PUBLIC_USES if name not in set(identifiers(trees[file]))} == set()


def test_names_say_which_thing_they_are(trees: dict[str, ast.AST]) -> None:
    """Refuse `of`, `one`, `found`, `said` and `told`; the thing's own name says more."""
    assert [(file, name) for file, tree in trees.items() for name in identifiers(tree) if name in NO_NAMES] == []


def test_docstrings_begin_with_a_verb_or_a_noun_phrase(trees: dict[str, ast.AST]) -> None:
    wrong = [
        f"{file}:{line}: {word}"
        for file, tree in trees.items()
        for line, word in first_words(tree)
        if word in NO_BEGINNINGS
    ]
    assert wrong == []


def test_the_guards_notice_what_they_refuse() -> None:
    code = """class A:
    'What it is.'
    told: int
    def of(self, one, *, earlyStop):
        self.found = [said for said in one]
        try: pass
        except OSError as item: pass
"""
    tree = ast.parse(code)
    assert set(identifiers(tree)) >= NO_NAMES
    assert [word for _, word in first_words(tree)] == ["what"]
    assert [name for name in identifiers(tree) if PRIVATE_WORDS & words_of(name)] == ["earlyStop", "item"]
