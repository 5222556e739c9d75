"""`meltpoint doctor`."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from service.errors import UsageError
from service.formats import Format
from service.settings import Home, prepare_environment
from service.terminals import HomeFlag, Output, own_stdout, print_data, print_next, print_table, stderr, working

if TYPE_CHECKING:
    from service.upkeep import Finding, Surroundings

_STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}


def doctor(
    ctx: typer.Context,
    spec: Annotated[
        Path | None,
        typer.Argument(metavar="[SPEC]", help="With --cluster: a sweep file whose images every node must read."),
    ] = None,
    start: Annotated[bool, typer.Option("--start", help="Also start Ray, which takes some seconds.")] = False,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Check every node of a Ray cluster, from a machine that is one of them.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="HOST:PORT", help="With --cluster: the cluster's head. Default: RAY_ADDRESS."),
    ] = None,
    output: Output = Format.TABLE,
    home: HomeFlag = None,
) -> None:
    """Check that this machine, or a cluster, can run sweeps; exit code 1 if something prevents it."""
    from service.settings.settings import list_settings
    from service.upkeep import Level, Surroundings, examine, examine_ray_start

    console, place, settings = stderr(), Home.resolve(home), list_settings()
    (origin,) = (setting.origin for setting in settings if setting.name == "home")
    source = ctx.get_parameter_source("home")
    typed = source is not None and source.name == "COMMANDLINE"
    where = Surroundings(
        home=place, home_from="--home" if typed else origin, environment=dict(os.environ), settings=settings
    )
    if cluster:
        findings = _examine_cluster(where, ray or os.environ.get("RAY_ADDRESS"), spec)
        _print(findings, output, with_nodes=True)
        sys.exit(_summarize(findings, console, done="sweeps can run on this cluster"))
    if ray is not None or spec is not None:
        raise UsageError("--ray and SPEC are for a cluster; give --cluster too")
    with own_stdout(), working(console, "checking"):
        findings = list(examine(where))
        if start and not any(finding.name == "home" and finding.level is Level.PROBLEM for finding in findings):
            prepare_environment(place.create())
            findings += examine_ray_start(where)
    _print(findings, output, with_nodes=False)
    sys.exit(_summarize(findings, console, done="sweeps can run here"))


def _examine_cluster(where: Surroundings, address: str | None, file: Path | None) -> list[Finding]:
    """Return the findings about a cluster. Raises UsageError if none is named, SpecError for a wrong sweep file."""
    from search_spaces import load_spec
    from service.upkeep import examine_cluster

    if not address:
        raise UsageError("--cluster: no Ray cluster is named; give --ray HOST:PORT, or set RAY_ADDRESS")
    spec = None if file is None else load_spec(file)
    os.environ["RAY_ADDRESS"] = address
    prepare_environment(where.home)
    with own_stdout(), working(stderr(), "asking every node"):
        folder = None if file is None else file.absolute().parent
        return list(examine_cluster(where, address, spec=spec, folder=folder))


def _print(findings: list[Finding], output: Format, *, with_nodes: bool) -> None:
    """Print the findings; with_nodes: with the node that each is about."""
    if output is not Format.TABLE:
        left_out = set() if with_nodes else {"node"}
        rows = [dataclasses.asdict(finding) | {"level": finding.level.value} for finding in findings]
        print_data([{key: value for key, value in row.items() if key not in left_out} for row in rows], output)
        return
    header = ["", "what", *(["node"] if with_nodes else []), "found"]
    print_table(header, [_row(finding, with_nodes=with_nodes) for finding in findings])


def _row(finding: Finding, *, with_nodes: bool) -> list[str]:
    advice = f": {finding.advice}" if finding.advice else ""
    node = [finding.node] if with_nodes else []
    return [finding.level.value, finding.name, *node, finding.text + advice]


def _summarize(findings: list[Finding], console: Console, *, done: str) -> int:
    """Print the problems, then the warnings; return the exit code. done: a sentence without problems."""
    problems = [finding for finding in findings if finding.level.value == "problem"]
    warnings = [finding for finding in findings if finding.level.value == "warning"]
    for finding in (*problems, *warnings):
        level = finding.level.value
        name = f"{finding.name} of {finding.node}" if finding.node else finding.name
        text = f"{level}: {name}: {finding.advice or finding.text}"
        console.print(text, style=_STYLES[level], markup=False, soft_wrap=True)
    if not problems:
        console.print(done, style=_STYLES["ok"])
        print_next("run", "SPEC")
    return 1 if problems else 0
