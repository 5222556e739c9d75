"""Rules of the folders that import-linter cannot check: a folder's public names are imported from the folder."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("search_spaces", "trainables", "service")
MOST_MODULES = 16


class Import(NamedTuple):
    """A name that a file imports from a module inside one of our folders."""

    file: Path
    folder: Path
    module: str
    name: str


def _folders() -> list[Path]:
    inits = (init for package in PACKAGES for init in sorted((ROOT / package).rglob("*/__init__.py")))
    return [init.parent for init in inits if init.parent.parent != ROOT]


FOLDERS = _folders()


@cache
def _offered(folder: Path) -> frozenset[str]:
    """Return the names in `__all__` of the folder's `__init__.py`."""
    for node in ast.parse((folder / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return frozenset(ast.literal_eval(node.value))
    return frozenset()


def _imports_from_inside() -> Iterator[Import]:
    """Yield every import in the packages from a module of another folder than the importing file's."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if not isinstance(node, ast.ImportFrom) or node.module is None:
                    continue
                package_name, *inside = node.module.split(".")
                if package_name not in PACKAGES or len(inside) < 2:
                    continue
                folder = ROOT / package_name / inside[0]
                if folder not in file.parents:
                    yield from (Import(file, folder, node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: ".".join(folder.relative_to(ROOT).parts))
def test_a_folder_has_a_purpose_and_few_modules(folder: Path) -> None:
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    assert docstring, f"{folder}/__init__.py needs a sentence about the purpose of the folder"
    assert len(docstring.split("\n\n")[0]) <= 160
    assert sum(1 for module in folder.glob("*.py") if module.name != "__init__.py") <= MOST_MODULES


def test_names_that_a_folder_offers_are_imported_from_the_folder() -> None:
    """Allow imports of other modules by their own name: these load something heavy, such as torch or Ray."""
    wrong = [
        f"{line.file.relative_to(ROOT)}: import {line.name} from {line.folder.parent.name}.{line.folder.name}"
        for line in _imports_from_inside()
        if line.name in _offered(line.folder)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_private_name_crosses_a_folder() -> None:
    wrong = [
        f"{line.file.relative_to(ROOT)} imports {line.name} from {line.module}"
        for line in _imports_from_inside()
        if line.name.startswith("_") or any(part.startswith("_") for part in line.module.split("."))
    ]
    assert not wrong, "\n".join(wrong)
