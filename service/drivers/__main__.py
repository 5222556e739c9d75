"""The process of a service's drivers: `python -m service.drivers --home DIR [--ray ADDRESS] ...`."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path

from service.drivers.resident import run_drivers
from service.logs import configure_logs
from service.queues import Limits
from service.settings import Home, prepare_environment


def main() -> None:
    """Run the drivers until a signal ends them."""
    parser = argparse.ArgumentParser(prog="python -m service.drivers")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--ray", default=None)
    parser.add_argument(
        "--max-sweeps", type=int, default=Limits.max_active_sweeps, help="most sweeps under way at once"
    )
    parser.add_argument("--end-with-stdin", action="store_true", help="end at once when standard input ends")
    parser.add_argument("--debug", action="store_true")
    options = parser.parse_args()
    home = Home(options.home.absolute()).create()
    prepare_environment(home)
    configure_logs(debug=options.debug)
    if options.end_with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    run_drivers(home, ray_address=options.ray, limits=Limits(max_active_sweeps=options.max_sweeps))
    os._exit(0)  # nobody need wait until everything is taken apart


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


main()
