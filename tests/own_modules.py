"""Modules of own code, each under a new name, because a process imports a name only once."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

_numbers = itertools.count()

NAME = r"own_\d+"

Write = Callable[[str], str]


def write_module(folder: Path, code: str) -> str:
    """Write a module with `code` and the usual imports into `folder`; return its name."""
    name = f"own_{next(_numbers)}"
    (folder / f"{name}.py").write_text(
        f"import numpy as np\nimport torch\nfrom PIL import Image\nfrom torch import nn\n{code}\n"
    )
    return name
