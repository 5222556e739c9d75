"""`meltpoint doctor`."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from service.formats import Format
from service.settings import Home, prepare_environment
from service.terminals import HomeFlag, Output, own_stdout, print_data, print_next, print_table, stderr, working

if TYPE_CHECKING:
    from service.upkeep import Finding

_STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}


def doctor(
    ctx: typer.Context,
    start: Annotated[bool, typer.Option("--start", help="Also start Ray, which takes some seconds.")] = False,
    output: Output = Format.TABLE,
    home: HomeFlag = None,
) -> None:
    """Check that this machine can run sweeps; exit code 1 if something prevents it."""
    from service.settings.settings import list_settings
    from service.upkeep import Level, Surroundings, examine, examine_ray_start

    console, place, settings = stderr(), Home.resolve(home), list_settings()
    (origin,) = (setting.origin for setting in settings if setting.name == "home")
    source = ctx.get_parameter_source("home")
    typed = source is not None and source.name == "COMMANDLINE"
    where = Surroundings(
        home=place, home_from="--home" if typed else origin, environment=dict(os.environ), settings=settings
    )
    with own_stdout(), working(console, "checking"):
        findings = list(examine(where))
        if start and not any(finding.name == "home" and finding.level is Level.PROBLEM for finding in findings):
            prepare_environment(place.create())
            findings += examine_ray_start(where)
    if output is Format.TABLE:
        print_table(["", "what", "found"], [_row(finding) for finding in findings])
    else:
        print_data([dataclasses.asdict(finding) | {"level": finding.level.value} for finding in findings], output)
    sys.exit(_summarize(findings, console))


def _row(finding: Finding) -> list[str]:
    advice = f": {finding.advice}" if finding.advice else ""
    return [finding.level.value, finding.name, finding.text + advice]


def _summarize(findings: list[Finding], console: Console) -> int:
    """Print the problems, then the warnings; return the exit code."""
    problems = [finding for finding in findings if finding.level.value == "problem"]
    warnings = [finding for finding in findings if finding.level.value == "warning"]
    for finding in (*problems, *warnings):
        level = finding.level.value
        text = f"{level}: {finding.name}: {finding.advice or finding.text}"
        console.print(text, style=_STYLES[level], markup=False, soft_wrap=True)
    if not problems:
        console.print("sweeps can run here", style=_STYLES["ok"])
        print_next("run", "SPEC")
    return 1 if problems else 0
