"""`meltpoint doctor`."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from rich.console import Console

from service.formats import Format
from service.settings import Home, prepare_environment
from service.settings.settings import list_settings
from service.terminals import own_stdout, print_data, print_table, working
from service.upkeep import Finding, Level, Surroundings, examine, examine_ray_start

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}


def doctor(flag: Path | None, *, typed: bool, start: bool, form: Format, console: Console) -> int:
    """Print what every check found; returns the exit code. typed: `flag` is what was typed, not a setting."""
    home, settings = Home.resolve(flag), list_settings()
    (origin,) = (setting.origin for setting in settings if setting.name == "home")
    where = Surroundings(
        home=home, home_from="--home" if typed else origin, environment=dict(os.environ), settings=settings
    )
    with own_stdout(), working(console, "looking around"):
        found = list(examine(where))
        if start and not any(one.name == "home" and one.level is Level.PROBLEM for one in found):
            prepare_environment(home.create())
            found += examine_ray_start(where)
    if form is Format.TABLE:
        rows = [[one.level.value, one.name, one.text + (f": {one.advice}" if one.advice else "")] for one in found]
        print_table(["", "what", "found"], rows)
    else:
        print_data([dataclasses.asdict(one) | {"level": one.level.value} for one in found], form)
    return _verdict(found, console)


def _verdict(found: list[Finding], console: Console) -> int:
    problems = [one for one in found if one.level is Level.PROBLEM]
    warnings = [one for one in found if one.level is Level.WARNING]
    for one in (*problems, *warnings):
        text = f"{one.level.value}: {one.name}: {one.advice or one.text}"
        console.print(text, style=_STYLES[one.level], markup=False, soft_wrap=True)
    if not problems:
        console.print("sweeps can run here", style=_STYLES[Level.OK])
        console.print("next: meltpoint run SPEC")
    return 1 if problems else 0
