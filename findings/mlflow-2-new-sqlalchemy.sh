#!/usr/bin/env bash
# MLflow 2.22.2 installs a SQLAlchemy with which its server does not start.
#
# It requires `sqlalchemy>=1.4.0,<3`, which resolves to 2.1. That release has no `FallbackAsyncAdaptedQueuePool`, which
# MLflow imports from `sqlalchemy.pool`, so that `mlflow server` ends with an ImportError. `sqlalchemy<2.1` helps.
#
# Seen on 2026-11-29 (Python 3.11):
#   sqlalchemy 2.1: ImportError: cannot import name 'FallbackAsyncAdaptedQueuePool' from 'sqlalchemy.pool'
#   sqlalchemy 2.0: imported
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/pip" install --quiet --disable-pip-version-check)
try() {
  MLFLOW_DISABLE_TELEMETRY=true "$folder/venv/bin/python" - <<'PYTHON'
import sqlalchemy

series = ".".join(sqlalchemy.__version__.split(".")[:2])
try:
    import mlflow.store.tracking.sqlalchemy_store
    answer = "imported"
except ImportError as error:
    answer = f"ImportError: {str(error).partition(' (')[0]}"
print(f"sqlalchemy {series}: {answer}")
PYTHON
}
"${pip[@]}" mlflow==2.22.2
new=$(try)
"${pip[@]}" 'sqlalchemy<2.1'
old=$(try)
echo "$new"
echo "$old"
grep -q "ImportError: cannot import name 'FallbackAsyncAdaptedQueuePool'" <<< "$new"
test "$old" = "sqlalchemy 2.0: imported"
echo "unchanged"
