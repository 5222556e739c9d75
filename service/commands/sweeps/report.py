"""`meltpoint report`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from service.commands.surroundings import check_output_file, open_requests, write_whole
from service.formats import ReportFormat
from service.terminals import ContextFlag, HomeFlag, SweepRef, print_next, stderr, working


def report(
    sweep: SweepRef,
    file: Annotated[
        Path | None,
        typer.Option("-f", "--file", metavar="FILE", help="Write to this file; by default SWEEP.html for a page."),
    ] = None,
    output: Annotated[
        ReportFormat,
        typer.Option("-o", "--output", help="html is a page that needs no other file; json the numbers behind it."),
    ] = ReportFormat.HTML,
    images: Annotated[
        bool,
        typer.Option("--images/--no-images", help="Show training images and worst mistakes if they are at hand."),
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Write a sweep's report: the decision, what mattered, what it cost, and how sure that is, in pictures."""
    if file is not None:
        check_output_file(file, force=force)
    console = stderr()
    with open_requests(context, home) as requests:
        if output is ReportFormat.JSON:
            text = json.dumps(requests.report(sweep).model_dump(mode="json"), indent=2) + "\n"
        else:
            row = requests.find(sweep)
            if file is None:
                file = Path(f"{row.id}.html")
                check_output_file(file, force=force)
            with working(console, f"writing the report of {row.id}"):
                text = requests.report_page(row.id, with_images=images)
        following = "status" if requests.is_remote else "ui"
    if file is None:
        sys.stdout.write(text)
        return
    write_whole(file, text, errors="replace")
    console.print(f"wrote {file}", markup=False, soft_wrap=True)
    print_next(following, sweep)
