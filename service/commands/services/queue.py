"""`meltpoint queue`."""

from __future__ import annotations

from service.commands.surroundings import open_service
from service.formats import Format
from service.terminals import ContextFlag, HomeFlag, Output, print_data, print_next, print_table, stderr

_HEADER = ("", "sweep", "name", "owner", "state", "priority", "slots", "reason")


def queue(output: Output = Format.TABLE, context: ContextFlag = None, home: HomeFlag = None) -> None:
    """Show a service's sweeps under way, and those that wait, with the reason."""
    with open_service(context, home) as connection:
        from service.clients.remote_sweeps import RemoteSweeps

        sweeps = RemoteSweeps(connection)
        entries = sweeps.queue()
        troubles = [] if output is not Format.TABLE else [node for node in sweeps.nodes() if node.problem]
    if output is not Format.TABLE:
        print_data([entry.as_json() for entry in entries], output)
    elif not entries:
        stderr().print("no sweep runs or waits")
        print_next("submit", "SPEC")
    else:
        rows = [
            [
                "" if entry.position is None else str(entry.position),
                *(entry.sweep_id, entry.name, entry.owner or "", entry.state.value, str(entry.priority)),
                *("" if entry.slot_cap is None else str(entry.slot_cap), entry.reason or ""),
            ]
            for entry in entries
        ]
        print_table(_HEADER, rows)
    for node in troubles:
        stderr().print(f"node {node.name} gets no trials: {node.problem}", markup=False, soft_wrap=True)
