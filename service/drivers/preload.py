"""Everything that a forked process of a service needs, imported once: torch, timm, MLflow, Ray Tune, Optuna.

The fork server of a service imports this module; the pool of lanes, drivers, helpers and trials are forked from it.
"""

from __future__ import annotations

import gc
from importlib import import_module
from typing import Final

__all__ = ["MODULES"]

MODULES: Final = (
    "service.drivers.driver_process",
    "service.drivers.pool_process",
    "service.runs.mlflow_helper",
    "service.runs.torch_helper",
    "service.tracking.trackers",
    "trainables.trials.runner",
    # Loaded by others at their first use, which would be in every process anew:
    "mlflow.pyfunc",
    "mlflow.pytorch",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "jinja2",
    "networkx",
    "opentelemetry.sdk.trace",
    "optuna.samplers",
    "scipy.special",
    "service.confirmations.readings",
    "sklearn.datasets",
    "sqlalchemy.dialects.sqlite",
    "timm",
    "torch._dynamo",
    "torch._export",
    "torch._functorch.aot_autograd",
    "torch._inductor.decomposition",
    "torch.export",
)

for _name in MODULES:
    import_module(_name)
gc.collect()
gc.freeze()  # forked processes then copy fewer pages
