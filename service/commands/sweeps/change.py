"""`meltpoint change`."""

from __future__ import annotations

from typing import Annotated

import typer

from service.commands.surroundings import open_requests
from service.errors import UsageError
from service.formats import Format
from service.terminals import Assign, ContextFlag, HomeFlag, Output, SweepRef, print_data, print_next, stderr


def change(
    sweep: SweepRef,
    assign: Assign = None,
    priority: Annotated[
        int | None, typer.Option("--priority", min=-100, max=100, help="A sweep with a higher one goes first.")
    ] = None,
    slots: Annotated[
        int | None, typer.Option("--slots", min=0, help="The most trials at once; 0 for no limit.")
    ] = None,
    output: Output = Format.TABLE,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Change the budget, the priority or the slots of a sweep that has not ended, also while it runs."""
    if not assign and priority is None and slots is None:
        raise UsageError("nothing to change; give for example --set budget.trials=64, or --priority or --slots")
    with open_requests(context, home) as requests:
        before = requests.find(sweep)
        after = requests.change(before.id, assign=assign or (), priority=priority, slot_cap=slots)
    changes = before.changes_to(after)
    if output is not Format.TABLE:
        print_data({"sweep_id": after.id, "name": after.name, "state": after.state.value, "changes": changes}, output)
    else:
        from service.sweeps import describe_changes

        text = describe_changes({"changes": changes}) if changes else "nothing differs"
        stderr().print(f"{after.id} ({after.state}): {text}", markup=False, soft_wrap=True)
    print_next("watch" if after.state.is_under_way else "resume", after.id)
