"""MLflow's command line in a home without an MLflow store: makes the store first, in the same process.

`python -m service.tracking.mlflow_program HOME ARGUMENTS` does what `python -m mlflow ARGUMENTS` does after that.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from service.settings import Home
from service.tracking.local_store import prepare_local_store

if __name__ == "__main__":
    prepare_local_store(Home(Path(sys.argv.pop(1))))
    runpy.run_module("mlflow", run_name="__main__", alter_sys=True)
