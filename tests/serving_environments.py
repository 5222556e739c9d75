"""Environments with chosen packages and what these require, and nothing else, made of links to those of this one."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["make_environment"]


def make_environment(folder: Path, packages: Iterable[str]) -> Path:
    """Make a virtual environment that has `packages` with their requirements, and return its Python.

    Installing them would take gigabytes and a network; links to the installed ones take neither.
    """
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    site = next((folder / "lib").glob("python*")) / "site-packages"
    for name in _with_requirements(packages):
        _link(metadata.distribution(name), site)
    script = folder / "bin" / "uvicorn"
    script.write_text(f"#!{python}\nfrom uvicorn.main import main\n\nmain()\n")
    script.chmod(0o755)
    lacks = "import importlib.util, sys; sys.exit(any(map(importlib.util.find_spec, sys.argv[1:])))"
    ours = ("service", "trainables", "search_spaces", "timm", "torchvision", "ray")
    subprocess.run([python, "-I", "-c", lacks, *ours], check=True, cwd=folder)
    return python


def _with_requirements(packages: Iterable[str]) -> set[str]:
    """Return the packages and all that they require, as far as it is installed."""
    waiting, known = [canonicalize_name(name) for name in packages], set[str]()
    while waiting:
        name = waiting.pop()
        if name in known:
            continue
        known.add(name)
        for line in metadata.requires(name) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))
    return known


def _link(distribution: metadata.Distribution, site: Path) -> None:
    """Link the top-level files and folders of a distribution into `site`."""
    source = Path(str(distribution.locate_file("")))
    for name in {Path(file).parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
        if not (site / name).exists():
            (site / name).symlink_to(source / name)
