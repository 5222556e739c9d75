"""The user's own functions, resolved by name in whichever process needs them."""

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
    """Modules that lie in `folder` can be imported by this process, after all others of their name."""
    place = os.path.abspath(folder)  # noqa: PTH100 - resolving links would hide what was meant
    if place not in sys.path:
        sys.path.append(place)
        importlib.invalidate_caches()


def load_own(name: str, kind: ExtensionKind) -> Function:
    """The function that `module:function`, or an entry point of the kind's group, names.

    Raises OwnCodeError, naming what was typed, for a module that is missing or cannot be imported, a function
    that it lacks, and an entry point that is unknown or offered by two packages.
    """
    function = _function(name, kind) if is_function_name(name) else _entry_point(name, kind)
    if not callable(function):
        raise own_error(name, kind, f"must name a function, not a {type(function).__name__}")
    found: Function = function
    return found


def call_own(name: str, kind: ExtensionKind, function: Function, *arguments: object) -> Any:
    """What `function` returns. Raises OwnCodeError with the type and text of whatever it raises."""
    try:
        return function(*arguments)
    except Exception as error:  # the user's code may raise anything
        raise own_error(name, kind, f"raised {_text(error)}") from error


def wrong_result(name: str, kind: ExtensionKind, needed: str, found: object) -> OwnCodeError:
    """The error of a function that returned `found` where it must return `needed`."""
    return own_error(name, kind, f"must return {needed}, and returned {found}")


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
            where = "install it, or put it beside the sweep file or on PYTHONPATH"
            raise own_error(name, kind, f"no module {error.name} can be imported: {where}") from None
        raise own_error(name, kind, f"importing {path} raised ModuleNotFoundError: {error}") from error
    except Exception as error:  # the user's module may raise anything
        raise own_error(name, kind, f"importing {path} raised {_text(error)}") from error


def _entry_point(name: str, kind: ExtensionKind) -> object:
    group = EXTENSIONS[kind].group
    found = {point.value: point for point in entry_points(group=group, name=name)}
    if not found:
        raise own_error(name, kind, f"no installed package offers it as an entry point of {group}")
    if len(found) > 1:
        raise own_error(name, kind, f"several installed packages offer it ({', '.join(sorted(found))})")
    (point,) = found.values()
    try:
        return point.load()
    except Exception as error:  # the user's module may raise anything
        raise own_error(name, kind, f"importing {point.value} raised {_text(error)}") from error


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def own_error(name: str, kind: ExtensionKind, problem: str) -> OwnCodeError:
    """The error of the user's own `name`, which has this problem."""
    return OwnCodeError(f"{EXTENSIONS[kind].setting}: {name}", problem)
