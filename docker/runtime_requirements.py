"""Print the part of requirements.lock that the program needs at run time, with its hashes.

`python runtime_requirements.py [EXTRA ...]` starts at the dependencies in pyproject.toml and those of the extras, and
follows the comments `# via`, by which the lock says what asked for each package.
`--build` prints what builds the wheel instead.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_PACKAGE = re.compile(r"^([a-z0-9][a-z0-9._-]*)==", re.MULTILINE)


def runtime_requirements(lock: str, roots: Iterable[str]) -> str:
    """Return the packages of `lock`, a text in pip's format, that `roots` need, with the roots themselves.

    Raises:
        SystemExit: the lock lacks one of the roots.
    """
    blocks = list(_blocks(lock))  # a package has a block for each version that some Python takes
    locked = {name for name, _ in blocks}
    wanted: set[str] = set()
    waiting = [_normal(re.split(r"[ \[<>=!~;]", root)[0]) for root in roots]
    if missing := [name for name in waiting if name not in locked]:
        raise SystemExit(f"requirements.lock lacks {', '.join(missing)}; run `make lock`")
    children: dict[str, list[str]] = {}
    for name, block in blocks:
        for parent in _parents(block):
            children.setdefault(parent, []).append(name)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += children.get(name, [])
    return "".join(block for name, block in blocks if name in wanted)


def roots_of(project: Mapping[str, Any], extras: Iterable[str], *, is_build: bool) -> list[str]:
    """Return the requirements in a pyproject.toml, without those of packages that they need in turn."""
    if is_build:
        return list(project["build-system"]["requires"])
    optional = project["project"]["optional-dependencies"]
    return [*project["project"]["dependencies"], *(line for extra in extras for line in optional[extra])]


def _blocks(lock: str) -> Iterable[tuple[str, str]]:
    starts = [*_PACKAGE.finditer(lock)]
    ends = [start.start() for start in starts[1:]] + [len(lock)]
    for start, end in zip(starts, ends, strict=True):
        yield _normal(start[1]), lock[start.start() : end]


def _parents(block: str) -> list[str]:
    """Return the packages that asked for the one of a block."""
    _, _, comment = block.partition("# via")
    return [_normal(word) for word in re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.sub(r"\(.*?\)", "", comment))]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(arguments: list[str]) -> None:
    """Print the part of the lock for the extras that are named."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    extras = [argument for argument in arguments if not argument.startswith("-")]
    roots = roots_of(project, extras, is_build="--build" in arguments)
    sys.stdout.write(runtime_requirements(Path("requirements.lock").read_text(encoding="utf-8"), roots))


if __name__ == "__main__":
    main(sys.argv[1:])
