"""`meltpoint submit`."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from search_spaces import Problem, SpecError, assign_recipes, read_spec_text
from service.commands.surroundings import open_service
from service.formats import Format
from service.terminals import Assign, ContextFlag, HomeFlag, Output, Spec, print_data, print_next, stderr

if TYPE_CHECKING:
    from service.ledgers import Sweep
    from service.sweeps import QueueEntry, SweepRequests


def submit(
    spec: Spec,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show the sweep until it has ended; Ctrl-C detaches.")
    ] = False,
    priority: Annotated[
        int, typer.Option("--priority", min=-100, max=100, help="A sweep with a higher one goes first.")
    ] = 0,
    slots: Annotated[int | None, typer.Option("--slots", min=1, help="The most trials at once.")] = None,
    assign: Assign = None,
    output: Output = Format.TABLE,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Hand a sweep to a service, which checks it, queues it and runs it."""
    text, assign = read_spec_text(spec), assign_recipes(assign or ())
    with open_service(context, home) as connection:
        from service.clients import send_submission

        file = str(spec.absolute())
        threading.Thread(target=_load_views, daemon=True).start()
        try:
            answer = send_submission(connection, text=text, file=file, assign=assign, priority=priority, slot_cap=slots)
        except SpecError as error:
            raise SpecError([_as_typed(problem, file, str(spec)) for problem in error.problems]) from None
        from service.clients.remote_sweeps import RemoteSweeps

        requests = RemoteSweeps(connection)
        sweep = requests.read_sweep(answer)
        if not follow:
            _report(requests, sweep, output)
            return
        stderr().print(f"submitted {sweep.id} ({sweep.name})", markup=False)
        from service.terminals.following import follow as follow_sweep

        sys.exit(follow_sweep(requests, sweep, output))


def _load_views() -> None:
    """Load the modules that show the sweep, while the service looks at its data."""
    import service.clients.remote_sweeps
    import service.terminals.following  # noqa: F401


def _as_typed(problem: Problem, file: str, typed: str) -> Problem:
    """Return the problem with the path of the sweep file as the user typed it."""
    if problem.file != file:
        return problem
    return Problem(
        path=problem.path,
        rule=problem.rule,
        value=problem.value,
        file=typed,
        line=problem.line,
        column=problem.column,
    )


def _report(requests: SweepRequests, sweep: Sweep, form: Format) -> None:
    """Print the sweep's id, its place in the queue, and the next command."""
    entry = next((entry for entry in requests.queue() if entry.sweep_id == sweep.id), None)
    if form is not Format.TABLE:
        facts = {"sweep_id": sweep.id, "name": sweep.name, "state": sweep.state.value}
        waiting = {"position": entry and entry.position, "reason": entry and entry.reason}
        print_data(facts | waiting, form)
    else:
        stderr().print(f"submitted {sweep.id} ({sweep.name}): {_place(sweep, entry)}", markup=False, soft_wrap=True)
    print_next("watch", sweep.id)


def _place(sweep: Sweep, entry: QueueEntry | None) -> str:
    """Return the sweep's place in the queue, or its state if it does not wait."""
    if entry is None or entry.position is None:
        return (sweep if entry is None else entry).state.value
    reason = f": {entry.reason}" if entry.reason else ""
    return f"place {entry.position} in the queue{reason}"
