"""Draw the folders of the three packages with the imports between them: `python docs/draw_folders.py`.

An arrow leads from a folder to a folder that it imports, also if the import is inside a function. An arrow is left out
of the picture if a longer way says the same (transitive reduction). The picture is `docs/images/folders.svg`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PICTURE: Final = ROOT / "docs" / "images" / "folders.svg"
PACKAGES: Final = ("service", "trainables", "search_spaces")
WIDTH, ROW, BOX_HEIGHT, LETTER, GAP = 1180, 74, 30, 8.0, 18

Arrows = Mapping[str, set[str]]
"""For each folder, by its dotted name, the folders that it imports."""


def folder_of(module: str) -> str | None:
    """Return the folder, or the module at a package's root, that a dotted name lies in; None if it is not ours."""
    parts = module.split(".")
    if parts[0] not in PACKAGES or len(parts) < 2:
        return None
    inner = ROOT / parts[0] / parts[1]
    return ".".join(parts[:2]) if inner.is_dir() or inner.with_suffix(".py").is_file() else None


def imported_modules(file: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def read_arrows() -> dict[str, set[str]]:
    """Read all imports between folders, those inside functions too."""
    arrows: dict[str, set[str]] = {}
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            source = folder_of(".".join(file.relative_to(ROOT).with_suffix("").parts))
            if source is None or source.endswith(".__init__"):
                continue
            targets = {folder_of(module) for module in imported_modules(file)}
            arrows.setdefault(source, set()).update(target for target in targets if target not in (None, source))
    return arrows


def reduced(arrows: Arrows) -> dict[str, set[str]]:
    """Leave out each arrow whose target is reached by a longer way too. Raises RecursionError if there is a cycle."""

    @cache
    def reachable(folder: str) -> frozenset[str]:
        return frozenset(arrows[folder]).union(*(reachable(target) for target in arrows[folder]))

    return {
        folder: {t for t in targets if not any(t in reachable(other) for other in targets - {t})}
        for folder, targets in arrows.items()
    }


def rows_of(arrows: Arrows) -> list[list[str]]:
    """Return the folders in rows, so that every arrow leads to a lower row."""

    @cache
    def height(folder: str) -> int:
        return max((height(target) + 1 for target in arrows[folder]), default=0)

    rows: list[list[str]] = [[] for _ in range(max(height(folder) for folder in arrows) + 1)]
    for folder in sorted(arrows):
        rows[-1 - height(folder)].append(folder)
    return rows


def draw(arrows: Arrows) -> str:
    """Return the picture as SVG: a panel for each package, the arrows between its folders transitively reduced."""
    shapes: list[str] = []
    top = 10.0
    for package in PACKAGES:
        inside = {
            folder: {target for target in targets if target.startswith(f"{package}.")}
            for folder, targets in arrows.items()
            if folder.startswith(f"{package}.")
        }
        rows = rows_of(inside)
        height = 34 + ROW * len(rows)
        shapes.append(f'<rect class="panel" x="6" y="{top:g}" width="{WIDTH - 12}" height="{height}" rx="8"/>')
        shapes.append(f'<text class="title" x="18" y="{top + 21:g}">{package}/</text>')
        shapes += _panel(rows, reduced(inside), top + 40)
        top += height + 12
    style = (
        "text{font:13px monospace;text-anchor:middle;fill:#1b2733}.title{font-weight:bold;text-anchor:start}"
        ".panel{fill:#f4f6f8;stroke:#c3ccd5}.box{fill:#fff;stroke:#3c6e91}.arrow{stroke:#7d93a5;fill:none}"
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:g}"><style>{style}</style><defs>'
        '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#7d93a5"/></marker></defs>'
    )
    return "\n".join([head, f'<rect width="{WIDTH}" height="{top:g}" fill="#fff"/>', *shapes, "</svg>", ""])


def _panel(rows: list[list[str]], arrows: Arrows, top: float) -> Iterator[str]:
    """Yield the boxes and arrows of one package; boxes stand under the middle of what imports them."""
    places: dict[str, tuple[float, float, float]] = {}
    importers = {name: [source for source, targets in arrows.items() if name in targets] for name in arrows}
    for number, row in enumerate(rows):
        wanted = {name: _mean([places[s][0] for s in importers[name] if s in places]) for name in row}
        ordered = sorted(row, key=lambda name: (wanted[name], name))
        widths = [len(name.partition(".")[2]) * LETTER + 16 for name in ordered]
        space = min(60.0, (WIDTH - 60 - sum(widths)) / max(1, len(widths) - 1))
        left = (WIDTH - sum(widths) - space * (len(widths) - 1)) / 2
        for name, width in zip(ordered, widths, strict=True):
            places[name] = (left + width / 2, top + number * ROW, width)
            left += width + space
    for source, targets in sorted(arrows.items()):
        for target in sorted(targets):
            (x, y, _), (to_x, to_y, _) = places[source], places[target]
            yield (
                f'<path class="arrow" marker-end="url(#tip)" d="M{x:.0f} {y + BOX_HEIGHT:.0f} '
                f'C{x:.0f} {y + BOX_HEIGHT + 30:.0f} {to_x:.0f} {to_y - 34:.0f} {to_x:.0f} {to_y:.0f}"/>'
            )
    for name, (x, y, width) in places.items():
        left = x - width / 2
        yield f'<rect class="box" x="{left:.0f}" y="{y:.0f}" width="{width:.0f}" height="{BOX_HEIGHT}" rx="4"/>'
        yield f'<text x="{x:.0f}" y="{y + 20:.0f}">{name.partition(".")[2]}</text>'


def _mean(values: list[float]) -> float:
    """Return the mean, or the middle of the picture if there is nothing to take the mean of."""
    return sum(values) / len(values) if values else WIDTH / 2


def main() -> None:
    """Write the picture, and print how many folders and arrows there are."""
    arrows = read_arrows()
    PICTURE.write_text(draw(arrows), encoding="utf-8")
    inside = {s: {t for t in targets if t.split(".")[0] == s.split(".")[0]} for s, targets in arrows.items()}
    shown = sum(map(len, reduced(inside).values()))
    sys.stdout.write(f"{len(arrows)} folders, {sum(map(len, arrows.values()))} arrows, {shown} drawn\n")


if __name__ == "__main__":
    main()
