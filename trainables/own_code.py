"""Own code: the user's functions, found by name in each process that needs them."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from search_spaces.errors import did_you_mean
from search_spaces.extensions import EXTENSIONS, ExtensionKind, is_function_name
from trainables.errors import OwnCodeError

__all__ = ["call_own", "load_own", "make_importable", "own_error", "wrong_result"]

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
