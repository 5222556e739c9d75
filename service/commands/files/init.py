"""`meltpoint init`."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from textwrap import indent
from types import MappingProxyType
from typing import Annotated, Any, Final

import typer

from search_spaces.documents import expand_user, write_document
from search_spaces.extensions import is_own
from search_spaces.sweeps import DataColumns
from service.commands.files.data_options import DataKeys, ask_by_option, read_data_keys
from service.commands.files.schema import SCHEMA_FILE, schema_text
from service.errors import UsageError
from service.formats import Format
from service.terminals import Output, completions, print_data, print_next, stderr, stdout, working

_DEFAULT_DATA: Final = "digits"
_PREFERRED: Final = "timm/tf_efficientnet_lite0"
_FALLBACK: Final = "torchvision/resnet18"
_IMAGE_SIZES: Final = {"digits": 64}
_USUAL_IMAGE_SIZE: Final = 128


def init(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write.", autocompletion=completions.sweep_files)
    ] = Path("sweep.yaml"),
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="PATH|NAME", help="An image folder or archive, a manifest, or a data set."),
    ] = None,
    assign: DataKeys = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Write a commented sweep file that runs as it is, and its schema for editors."""
    if not file.absolute().parent.is_dir():
        raise UsageError(f"no such folder: {file.absolute().parent}")
    if file.exists() and not force:
        raise UsageError(f"{file} is there already; choose another name, or --force to overwrite it")
    beside = file.with_name(SCHEMA_FILE)
    if not _is_ours(beside) and not force:
        raise UsageError(f"{beside} is there already and holds something else; --force overwrites it")
    keys = read_data_keys(assign)
    source = _DEFAULT_DATA if data is None else _source(data, file, keys)
    if "root" in keys:
        keys["root"] = _relative(keys["root"], file)
    beside.write_text(schema_text(), encoding="utf-8")
    file.write_text(sweep_text(file, source, keys), encoding="utf-8")
    if output is Format.TABLE:
        stdout().print(
            f"wrote {file}, and {beside} for editors, which complete and check it", markup=False, soft_wrap=True
        )
    else:
        print_data({"file": str(file), "schema": str(beside), "source": source}, output)
    print_next("validate", str(file))


def sweep_text(file: Path, source: str, keys: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Return the commented sweep file for the data `source`; keys: others of the section `data`."""
    from trainables.weights import has_local_weights

    template = Template((files("service.commands.files") / "sweep.template.yaml").read_text(encoding="utf-8"))
    backbone = _PREFERRED if has_local_weights(_PREFERRED) else _FALLBACK
    return template.substitute(
        schema=SCHEMA_FILE,
        file=shlex.quote(file.name),
        name=_name(source),
        source=indent(write_document({"source": source, **keys}), "  ").strip(),
        image_size=_IMAGE_SIZES.get(source, _USUAL_IMAGE_SIZE),
        backbone=backbone,
    )


def _source(data: str, file: Path, keys: Mapping[str, Any]) -> str:
    """Return `data` as the sweep file must name it: a path from the file's folder, checked to hold images."""
    with working(stderr(), "reading the images' names"):
        from trainables.datasets import is_uri
        from trainables.datasets.sources import DATASETS, load_table
        from trainables.datasets.torchvision_sets import TORCHVISION_PREFIX

        place = expand_user(data)
        if data in DATASETS or data.startswith(TORCHVISION_PREFIX) or is_uri(data):
            return data
        if is_own(data, "dataset") and not place.exists():
            return data
        with ask_by_option(f"--data {data}"):
            columns = DataColumns(**keys.get("columns", {}))
            load_table(data, base_dir=Path.cwd(), root=keys.get("root"), layout=keys.get("layout"), columns=columns)
    relative = _relative(data, file)
    return f"./{relative}" if relative in DATASETS else relative


def _relative(place: str, file: Path) -> str:
    """Return a place as the sweep file must name it: a path from the file's folder."""
    from trainables.datasets import is_uri

    path = expand_user(place)
    return place if is_uri(place) else str(path) if path.is_absolute() else os.path.relpath(path, file.parent)


def _name(source: str) -> str:
    """Return a name for the sweep, made of the data's name."""
    stem = Path(source.rpartition(":")[2]).stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:64] or "sweep"


def _is_ours(file: Path) -> bool:
    """Return if the file may be written: it is not there, or is a schema that an earlier `init` wrote."""
    from search_spaces.schemas import TITLE

    if not file.exists():
        return True
    try:
        return bool(json.loads(file.read_text(encoding="utf-8")).get("title") == TITLE)
    except (OSError, ValueError, AttributeError):
        return False
