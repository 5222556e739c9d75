"""What libraries may say: nothing, unless everything is asked for."""

from __future__ import annotations

import logging
import os

__all__ = ["configure_logs", "configure_logs_apart", "talkative"]

_LOUD = ("ray", "ray.tune", "mlflow", "alembic", "torch", "optuna")


def configure_logs(*, debug: bool) -> None:
    """Ray, MLflow and alembic log in their own formats; what a user must know, we say. `debug` lets them speak."""
    if debug:
        logging.basicConfig(level=logging.INFO)
    else:
        for name in _LOUD:
            logging.getLogger(name).setLevel(logging.CRITICAL)


def talkative() -> bool:
    """Whether logs were configured with `debug`."""
    return logging.getLogger().isEnabledFor(logging.INFO)


def configure_logs_apart(*, debug: bool) -> None:
    """The same in a process that has nothing to print: its standard output is dropped, or joins the logs."""
    configure_logs(debug=debug)
    if not debug:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
