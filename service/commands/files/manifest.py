"""`meltpoint manifest`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.files.data_options import DataKeys, ask_by_option, read_data_keys
from service.commands.surroundings import check_output_file, write_whole
from service.errors import UsageError
from service.formats import Format, counted
from service.terminals import Output, print_data, print_line, print_next, stderr, working

if TYPE_CHECKING:
    from trainables.datasets import ImageTable


def manifest(
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="The images: a folder, a URI of one, or a label file to rewrite.")
    ],
    file: Annotated[Path, typer.Option("-f", "--file", metavar="FILE", help="The manifest to write, a .csv file.")],
    assign: DataKeys = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Write a manifest of a folder of images, with a row for each image, that you can edit and sweep over."""
    if file.suffix.lower() != ".csv":
        raise UsageError(f"-f {file}: must end in .csv")
    check_output_file(file, force=force)
    keys = read_data_keys(assign)
    with working(stderr(), "reading the images' names"), ask_by_option(folder):
        from search_spaces.sweeps import DataColumns
        from service.reports import data_notes
        from trainables.datasets import source_facts
        from trainables.datasets.files import parent_uri, resolve_location
        from trainables.datasets.manifests import MANIFEST_SUFFIXES, manifest_text
        from trainables.datasets.sources import load_table

        table = load_table(
            folder,
            base_dir=Path.cwd(),
            root=keys.get("root"),
            layout=keys.get("layout"),
            columns=DataColumns(**keys.get("columns", {})),
        )
        start = resolve_location(keys.get("root") or folder, Path.cwd())
        if "root" not in keys and str(start).lower().endswith(MANIFEST_SUFFIXES):
            start = start.parent if isinstance(start, Path) else parent_uri(start)
        written = manifest_text(table, start, file.absolute().parent)
    write_whole(file, written.text)
    if output is not Format.TABLE:
        facts = {"file": str(file), "root": written.root, "images": len(table.images), "classes": list(table.classes)}
        print_data(facts | source_facts(table), output)
    else:
        notes = [*data_notes(source_facts(table)), *_notes(table, written.root)]
        for line in [f"wrote {file}: {_summary(table)}", *notes]:
            print_line(line)
    sweep = next(name for name in _sweep_names(file) if not name.exists())
    root = [] if written.root is None else ["--set", f"data.root={written.root}"]
    print_next("init", str(sweep), "--data", str(file), *root)


def _summary(table: ImageTable) -> str:
    columns = "image, label" if table.split is None else "image, label and split"
    return f"{counted(len(table.images), 'image')} of {len(table.classes)} classes, with the columns {columns}"


def _notes(table: ImageTable, root: str | None) -> Iterator[str]:
    if table.split is not None and "val" in table.split and "" in table.split:
        yield "rows with an empty split are divided by the sweep's data.split; train keeps them all for training"
    if root is not None:
        yield f"paths start in {root}, which the sweep file names as data.root"


def _sweep_names(file: Path) -> Iterator[Path]:
    """Yield names for a sweep file over the manifest."""
    yield file.with_suffix(".yaml")
    yield from (file.with_name(f"{file.stem}-{number}.yaml") for number in count(2))
