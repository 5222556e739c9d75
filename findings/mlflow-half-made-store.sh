#!/usr/bin/env bash
# MLflow 3.17.2: a process that dies while it makes a new SQLite store leaves a file that MLflow refuses for good.
#
# The first use of a store creates tables as of an early schema, then runs all migrations, in many transactions. A
# process killed in between leaves a file without any experiment. After some statements the next use goes on and
# completes it. After others it stops at a table that is there already, and so does `mlflow db upgrade`,
# although the file holds nothing. One would expect the next use to go on, or to begin anew, after every statement. A
# store made under another name and renamed once it is whole cannot be met half made.
#
# Seen on 2026-11-29 (Python 3.11; killed before one of some 1,690 statements):
#   500: the next use: completes it; mlflow db upgrade: completes it
#   720: the next use: table _alembic_tmp_experiments already exists; mlflow db upgrade: the same
#   940: the next use: table _alembic_tmp_experiments already exists; mlflow db upgrade: the same
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlflow==3.17.2
cd "$folder"
export MLFLOW_DISABLE_TELEMETRY=true MLFLOW_LOGGING_LEVEL=CRITICAL
cat > make.py <<'PYTHON'
import itertools
import os
import signal
import sys

from mlflow import MlflowClient
from sqlalchemy import Engine, event

number, last = itertools.count(), int(sys.argv[2])


def step(*_):
    if next(number) == last:
        os.kill(os.getpid(), signal.SIGKILL)


event.listen(Engine, "before_cursor_execute", step)
MlflowClient(f"sqlite:///{sys.argv[1]}").search_experiments()
PYTHON
again() { if "$@" >log 2>&1; then echo "completes it"; else grep -om1 'table [a-z_]* already exists' log; fi; }
for at in 500 720 940; do
  "$folder/venv/bin/python" make.py "$at.db" "$at" 2>log || true
  cp "$at.db" upgraded.db
  echo "$at: the next use: $(again "$folder/venv/bin/python" make.py "$at.db" -1);" \
    "mlflow db upgrade: $(again "$folder/venv/bin/mlflow" db upgrade sqlite:///upgraded.db)" | tee -a seen
done
[ "$(grep -c 'next use: completes it' seen)" = 1 ]
[ "$(grep -c 'next use: table .* mlflow db upgrade: table ' seen)" = 2 ]
echo "unchanged"
