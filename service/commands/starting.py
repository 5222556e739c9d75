"""`meltpoint init` and `schema`: a sweep file to begin with, and what an editor checks it by."""

from __future__ import annotations

import json
import os
import re
import sys
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from rich.console import Console

from search_spaces import MeltpointError
from search_spaces.documents import write_document
from search_spaces.extensions import is_own
from search_spaces.schemas import TITLE, sweep_schema
from service.errors import UsageError
from service.formats import Format
from service.terminals import print_data, stdout, working
from trainables.weights import has_local_weights

SCHEMA_FILE: Final = "meltpoint.schema.json"
_DEFAULT_DATA: Final = "digits"
_PREFERRED: Final = "timm/tf_efficientnet_lite0"
_FALLBACK: Final = "torchvision/resnet18"
_IMAGE_SIZES: Final = {"digits": 64}
_USUAL_IMAGE_SIZE: Final = 128


def schema() -> None:
    """Print the sweep file's JSON Schema."""
    sys.stdout.write(_schema_text())


def init(file: Path, data: str | None, *, force: bool, form: Format, console: Console) -> None:
    """Write a sweep file that runs as it is, and the schema beside it.

    Raises:
        UsageError: the file is there already, its folder is not, or `data` cannot be read as labelled images.
    """
    if not file.absolute().parent.is_dir():
        raise UsageError(f"no such folder: {file.absolute().parent}")
    if file.exists() and not force:
        raise UsageError(f"{file} is there already; choose another name, or --force to overwrite it")
    beside = file.with_name(SCHEMA_FILE)
    if not _is_ours(beside) and not force:
        raise UsageError(f"{beside} is there already and holds something else; --force overwrites it")
    source = _DEFAULT_DATA if data is None else _source(data, file, console)
    beside.write_text(_schema_text(), encoding="utf-8")
    file.write_text(sweep_text(file, source), encoding="utf-8")
    if form is Format.TABLE:
        stdout().print(
            f"wrote {file}, and {beside} by which editors complete and check it", markup=False, soft_wrap=True
        )
    else:
        print_data({"file": str(file), "schema": str(beside), "source": source}, form)
    console.print(f"next: meltpoint validate {file}", markup=False, soft_wrap=True)


def sweep_text(file: Path, source: str) -> str:
    """The commented sweep file over `source`."""
    template = Template((files("service") / "commands" / "sweep.template.yaml").read_text(encoding="utf-8"))
    backbone = _PREFERRED if has_local_weights(_PREFERRED) else _FALLBACK
    return template.substitute(
        schema=SCHEMA_FILE,
        file=file.name,
        name=_name(source),
        source=write_document({"source": source}).strip(),
        image_size=_IMAGE_SIZES.get(source, _USUAL_IMAGE_SIZE),
        backbone=backbone,
    )


def _source(data: str, file: Path, console: Console) -> str:
    """`data` as the sweep file must say it: a path from the file's folder, once it is seen to hold images."""
    with working(console, "reading the images' names"):
        from trainables.datasets import is_uri
        from trainables.datasets.sources import DATASETS, load_table
        from trainables.datasets.torchvision_sets import TORCHVISION_PREFIX

        place = Path(data).expanduser()
        if data in DATASETS or data.startswith(TORCHVISION_PREFIX) or is_uri(data):
            return data
        if is_own(data, "dataset") and not place.exists():
            return data
        try:
            load_table(data, base_dir=Path.cwd())
        except MeltpointError as error:
            raise UsageError(str(error).replace("data.source", f"--data {data}", 1)) from None
    if place.is_absolute():
        return str(place)
    relative = os.path.relpath(place, file.parent)
    return f"./{relative}" if relative in DATASETS else relative


def _name(source: str) -> str:
    """A sweep's name made of the data's."""
    stem = Path(source.rpartition(":")[2]).stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:64] or "sweep"


def _schema_text() -> str:
    return json.dumps(sweep_schema(), indent=1) + "\n"


def _is_ours(file: Path) -> bool:
    """Whether the file may be written anew: it is not there, or is a schema written before."""
    if not file.exists():
        return True
    try:
        return bool(json.loads(file.read_text(encoding="utf-8")).get("title") == TITLE)
    except (OSError, ValueError, AttributeError):
        return False
