"""Compiled bytecode of the installed packages."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from service.upkeep.checks.findings import Finding, Surroundings, warning

__all__ = ["check_bytecode"]


def check_bytecode(surroundings: Surroundings) -> Iterator[Finding]:
    """Warn if packages are not compiled: each worker then compiles what it imports, which takes seconds."""
    package = importlib.util.find_spec("torch")
    if package is None or package.origin is None:
        return
    compiled = Path(importlib.util.cache_from_source(package.origin)).exists()
    if compiled:
        yield Finding(name="bytecode", text="compiled")
        return
    advice = "install with uv pip install --compile-bytecode, or run python -m compileall on site-packages once"
    kept = (
        "PYTHONDONTWRITEBYTECODE is set"
        if surroundings.environment.get("PYTHONDONTWRITEBYTECODE")
        else "not compiled yet"
    )
    yield warning("bytecode", f"{kept}: every worker compiles what it imports", advice)
