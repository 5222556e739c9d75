#!/usr/bin/env bash
# MLflow 3.17.2: an infinite metric is read back as a finite number; NaN sorts last both ways.
#
# With a SQLite store, a metric logged as infinity comes back as 1.7976931348623157e+308, the largest double, and
# minus infinity as its negative. `math.isfinite` of what was read is true, so a check made after reading does not see
# a diverged loss. In `search_runs`, a NaN comes after every number for `ASC` and for `DESC` alike, followed by runs
# without the metric: the first run of a descending order is the infinite one, never the NaN.
#
# Seen on 2026-11-28 (Python 3.11):
#   inf -> 1.7976931348623157e+308, finite: True
#   DESC ['inf', 'one', 'minus inf', 'nan', 'missing']
#   ASC ['minus inf', 'one', 'inf', 'nan', 'missing']
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlflow==3.17.2
cd "$folder"
MLFLOW_DISABLE_TELEMETRY=true MLFLOW_LOGGING_LEVEL=ERROR "$folder/venv/bin/python" - <<'PYTHON'
import math
import tempfile

from mlflow import MlflowClient

folder = tempfile.mkdtemp(dir=".")
client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
experiment = client.create_experiment("metrics", artifact_location=f"{folder}/artifacts")
values = {"inf": math.inf, "one": 1.0, "minus inf": -math.inf, "nan": math.nan, "missing": None}
for name, value in values.items():
    run = client.create_run(experiment, run_name=name)
    if value is not None:
        client.log_metric(run.info.run_id, "loss", value)


def order(direction):
    runs = client.search_runs([experiment], order_by=[f"metrics.loss {direction}"])
    return [run.info.run_name for run in runs], [run.data.metrics.get("loss") for run in runs]


names, read = order("DESC")
print("inf ->", read[0], "finite:", math.isfinite(read[0]))
print("DESC", names)
print("ASC", order("ASC")[0])
assert read[0] == 1.7976931348623157e308, read
assert names == ["inf", "one", "minus inf", "nan", "missing"], names
assert order("ASC")[0] == ["minus inf", "one", "inf", "nan", "missing"]
PYTHON
echo "unchanged"
