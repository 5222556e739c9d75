"""Own code: the user's functions, found by name in each process that needs them."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from search_spaces.errors import did_you_mean
from search_spaces.extensions import EXTENSIONS, ExtensionKind, is_function_name
from trainables.errors import NodeError, OwnCodeError

__all__ = [
    "call_own",
    "check_code_digests",
    "code_digests",
    "load_own",
    "make_importable",
    "own_error",
    "wrong_result",
]

Function = Callable[..., Any]


def make_importable(folder: Path) -> None:
    """Let this process import modules from `folder`; modules of the same name elsewhere come first."""
    path = os.path.abspath(folder)  # noqa: PTH100 - `resolve` would follow links
    if path not in sys.path:
        sys.path.append(path)
        importlib.invalidate_caches()


def load_own(name: str, kind: ExtensionKind) -> Function:
    """Return the function that `module:function`, or an entry point of the kind's group, names.

    Raises:
        OwnCodeError: the module is missing or cannot be imported, it has no such function, or the entry point is
            unknown or offered by two packages.
    """
    function = _function(name, kind) if is_function_name(name) else _entry_point(name, kind)
    if not callable(function):
        raise own_error(name, kind, f"must name a function, not a {type(function).__name__}")
    result: Function = function
    return result


def code_digests(names: Iterable[tuple[ExtensionKind, str]]) -> dict[str, str]:
    """Return the digest of each module with own code, by the module's name; built-in names have none.

    A digest covers the module's file, or all Python files of the package that it lies in. Nothing is imported.

    names: of functions (`module:function`) and entry points, each with what it is for.
    """
    listed = list(names)
    modules = {name.partition(":")[0] for _, name in listed if is_function_name(name)}
    points = {(EXTENSIONS[kind].group, name) for kind, name in listed if not is_function_name(name)}
    for group in {group for group, _ in points}:
        modules |= {point.module for point in entry_points(group=group) if (group, point.name) in points}
    return {module: digest for module in sorted(modules) if (digest := _digest_of(module)) is not None}


def check_code_digests(wanted: Mapping[str, str], *, node: str) -> None:
    """Check that this process imports the same modules; wanted: of `code_digests`. node: its name, for errors.

    Raises:
        NodeError: a module is missing here, or has other content.
    """
    for module, digest in wanted.items():
        here = _digest_once(module)
        if here != digest:
            problem = "is missing" if here is None else f"has other content (digest {here}, the sweep's {digest})"
            raise NodeError(
                f"node {node}: the module {module} with the sweep's own code {problem}; install the same version on "
                "every node, as a wheel or in the image, or put it on each node's PYTHONPATH"
            )


@cache
def _digest_once(module: str) -> str | None:
    """Return `_digest_of` at the first call of this process, which imports the module once."""
    return _digest_of(module)


def _digest_of(module: str) -> str | None:
    """Return 16 hex digits over the files of a module; None if there are none."""
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations is not None:
        files = [(root, file) for root in spec.submodule_search_locations for file in sorted(Path(root).rglob("*.py"))]
    else:
        files = [(str(Path(spec.origin).parent), Path(spec.origin))] if spec.has_location and spec.origin else []
    digest = hashlib.sha256()
    for root, file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root)}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()[:16] if files else None


def call_own(name: str, kind: ExtensionKind, function: Function, *arguments: object) -> Any:
    """Call `function` and return its result. Raises OwnCodeError with the type and text of any error."""
    try:
        return function(*arguments)
    except Exception as error:  # the user's code may raise anything
        raise own_error(name, kind, f"raised {_text(error)}") from error


def wrong_result(name: str, kind: ExtensionKind, needed: str, actual: object) -> OwnCodeError:
    """Return the error of a function that must return `needed` and returned `actual`."""
    return own_error(name, kind, f"must return {needed}, and returned {actual}")


def _function(name: str, kind: ExtensionKind) -> object:
    path, _, attribute = name.partition(":")
    module = _imported(path, name, kind)
    try:
        return getattr(module, attribute)
    except AttributeError:
        offered = [other for other, value in vars(module).items() if callable(value) and not other.startswith("_")]
        hint = did_you_mean(attribute, offered)
        raise own_error(name, kind, f"module {path} has no function {attribute}{hint}") from None


def _imported(path: str, name: str, kind: ExtensionKind) -> object:
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and (path == error.name or path.startswith(f"{error.name}.")):
            advice = "install it, or put it beside the sweep file or on PYTHONPATH"
            raise own_error(name, kind, f"no module {error.name} can be imported: {advice}") from None
        raise own_error(name, kind, f"importing {path} raised ModuleNotFoundError: {error}") from error
    except Exception as error:  # the user's module may raise anything
        raise own_error(name, kind, f"importing {path} raised {_text(error)}") from error


def _entry_point(name: str, kind: ExtensionKind) -> object:
    group = EXTENSIONS[kind].group
    points = {point.value: point for point in entry_points(group=group, name=name)}
    if not points:
        raise own_error(name, kind, f"no installed package offers it as an entry point of {group}")
    if len(points) > 1:
        raise own_error(name, kind, f"several installed packages offer it ({', '.join(sorted(points))})")
    (point,) = points.values()
    try:
        return point.load()
    except Exception as error:  # the user's module may raise anything
        raise own_error(name, kind, f"importing {point.value} raised {_text(error)}") from error


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def own_error(name: str, kind: ExtensionKind, problem: str) -> OwnCodeError:
    """Return the error that says which problem the own code `name` has."""
    return OwnCodeError(f"{EXTENSIONS[kind].setting}: {name}", problem)
