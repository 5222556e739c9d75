"""Texts of errors in the source, so that a test can check that each has a case."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("search_spaces", "trainables", "service")
MAKERS = re.compile(r"[A-Za-z_]*Error|Problem|_?refuse|_error|_problem|problem|_diverged|wrong_result|_listed|_RULES")
"""Names of classes and functions that make an error, or a part of its message, from text."""

_WORDS = re.compile(r"[A-Za-z]{2,}.*[ :].*[A-Za-z]{2,}")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Site:
    """A text of an error: its place in the source, its longest constant part, and a pattern of the whole text."""

    place: str
    text: str
    longest: str
    pattern: re.Pattern[str]


@cache
def sites() -> list[Site]:
    """Return every text in the three packages that flows into an error.

    A name is followed to its assignments in the function, a function of the same file to its return values.
    """
    files = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    return [site for file in files for site in _sites_of(file)]


def _sites_of(file: Path) -> Iterator[Site]:
    tree = ast.parse(file.read_text())
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, Function)}
    seen: set[tuple[int, int]] = set()
    for node, scope in _calls(tree, tree):
        for text in _texts(node, scope, functions):
            place = text.lineno, text.col_offset
            if place not in seen:
                seen.add(place)
                yield from _site(file, text)


def _calls(node: ast.AST, scope: ast.AST) -> Iterator[tuple[ast.Call, ast.AST]]:
    """Yield each call in `node` that makes an error, with the innermost function around the call."""
    if isinstance(node, ast.Call) and MAKERS.fullmatch(_name(node.func)):
        yield node, scope
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, node if isinstance(node, Function) else scope)


def _site(file: Path, node: ast.Constant | ast.JoinedStr) -> Iterator[Site]:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    texts = [part.value if isinstance(part, ast.Constant) else None for part in parts]
    shown = "".join("{}" if text is None else str(text) for text in texts)
    if _WORDS.search(shown):
        pattern = "".join(".*" if text is None else re.escape(str(text)) for text in texts)
        longest = max(shown.split("{}"), key=len)
        yield Site(f"{file.relative_to(ROOT)}:{node.lineno}", shown, longest, re.compile(pattern, re.DOTALL))


def _texts(
    node: ast.AST, scope: ast.AST, functions: dict[str, Function], depth: int = 2
) -> Iterator[ast.Constant | ast.JoinedStr]:
    """Yield the literals in `node`, in the values of its names in `scope`, and in results of functions of the file."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        yield node
    if isinstance(node, ast.Name) and depth:
        for given in _given(node.id, scope):
            yield from _texts(given, scope, functions, depth - 1)
    if isinstance(node, ast.Call) and depth and isinstance(node.func, ast.Name) and node.func.id in functions:
        called = functions[node.func.id]
        for inner in ast.walk(called):
            if isinstance(inner, ast.Return) and inner.value is not None:
                yield from _texts(inner.value, called, functions, depth - 1)
    for child in ast.iter_child_nodes(node):
        yield from _texts(child, scope, functions, depth)


def _given(name: str, scope: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            yield node.value
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            yield node.value


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
