"""`meltpoint logs`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from service.commands.surroundings import open_requests
from service.terminals import ContextFlag, HomeFlag, SweepRef, print_next


def logs(
    sweep: SweepRef,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the sweep has ended, or Ctrl-C.")] = False,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Print a sweep's log: states, trials, results, notices."""
    with open_requests(context, home) as requests:
        try:
            for line in requests.logs(sweep, follow=follow):
                sys.stdout.write(line + "\n")
                if follow:
                    sys.stdout.flush()
        except KeyboardInterrupt:
            return
    print_next("status", sweep)
