"""Logs of libraries: hidden, unless `--debug` shows them."""

from __future__ import annotations

import logging
import os

__all__ = ["configure_helper_logs", "configure_logs", "is_debug_enabled"]

_LIBRARIES = ("ray", "ray.tune", "mlflow", "alembic", "torch", "optuna")


def configure_logs(*, debug: bool) -> None:
    """Show the logs of all libraries if `debug` is set, else hide them: users read Meltpoint's own messages."""
    if debug:
        logging.basicConfig(level=logging.INFO)
    else:
        for name in _LIBRARIES:
            logging.getLogger(name).setLevel(logging.CRITICAL)


def is_debug_enabled() -> bool:
    """Return whether logs were configured with `debug`."""
    return logging.getLogger().isEnabledFor(logging.INFO)


def configure_helper_logs(*, debug: bool) -> None:
    """Configure the logs of a helper process, which has no output of its own: drop its stdout unless `debug` is set."""
    configure_logs(debug=debug)
    if not debug:
        null_device = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null_device, 1)
        os.close(null_device)
