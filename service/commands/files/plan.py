"""`meltpoint plan`."""

from __future__ import annotations

from typing import Annotated

import typer

from search_spaces import load_spec
from service.commands.surroundings import is_debugging
from service.formats import Format
from service.logs import configure_logs
from service.settings import Home
from service.terminals import Assign, HomeFlag, Output, Spec, own_stdout, print_next, stderr, working


def plan(
    spec: Spec,
    assign: Assign = None,
    recipes: Annotated[int, typer.Option("-n", min=1, max=64, help="Show N sampled recipes.")] = 5,
    output: Output = Format.TABLE,
    home: HomeFlag = None,
) -> None:
    """Show what a sweep would do: recipes, data, and an estimate of time and memory. Trains nothing."""
    loaded = load_spec(spec, assign or ())
    configure_logs(debug=is_debugging())
    console = stderr()
    with working(console, "loading torch"):
        from service.commands.files.plan_view import show_plan
        from service.plans.sweep_plans import plan_sweep
    with own_stdout(), console.status("looking at the data") as status:
        made = plan_sweep(loaded, home=Home.resolve(home), say=status.update)
    show_plan(made, recipes, output)
    print_next("run", str(spec), *(word for text in assign or () for word in ("--set", text)))
