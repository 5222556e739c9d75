"""`meltpoint watch`."""

from __future__ import annotations

import sys

from service.commands.surroundings import exiting_if_not_found, open_requests
from service.formats import Format
from service.terminals import ContextFlag, HomeFlag, Output, SweepRef


def watch(sweep: SweepRef, output: Output = Format.TABLE, context: ContextFlag = None, home: HomeFlag = None) -> None:
    """Follow a sweep until it has ended, with live progress; Ctrl-C ends only the view."""
    with exiting_if_not_found(), open_requests(context, home) as requests:
        row = requests.find(sweep)
        from service.terminals.following import follow

        sys.exit(follow(requests, row, output))
