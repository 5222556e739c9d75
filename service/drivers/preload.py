"""Everything that a forked process of a service needs, imported once: torch, timm, MLflow, Ray Tune, Optuna.

The fork server of a service imports this module; the pool of lanes, drivers, helpers and trials are forked from it.
"""

from __future__ import annotations

import gc

import mlflow  # noqa: F401
import timm  # noqa: F401

import trainables.trials.runner  # noqa: F401

PRELOAD = __name__

gc.collect()
gc.freeze()  # forked processes then copy fewer pages
