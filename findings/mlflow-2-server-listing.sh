#!/usr/bin/env bash
# MLflow 3.17.2 against a server of 2.22.2: a folder of a run's artifacts cannot be listed, though it is there.
#
# `MlflowClient.list_artifacts(run_id, "folder")` always asks the server for a logged model of that name too. A server of
# MLflow 2 has no such route, so that the client raises an MlflowException about a page that was not found, for folders
# that exist as for those that do not. Listing without a path works, and so do writing and downloading.
#
# Seen on 2026-11-29 (Python 3.11, SQLAlchemy 2.0.44, with which 2.22.2 starts):
#   list_artifacts(run) -> ['folder']
#   list_artifacts(run, 'folder') -> API request to endpoint /api/2.0/mlflow/logged-models/search failed with error code 404 != 200
set -euo pipefail
folder=$(mktemp -d)
server=
trap 'test -z "$server" || kill -- "-$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/old"
python3 -m venv "$folder/new"
"$folder/old/bin/pip" install --quiet --disable-pip-version-check mlflow==2.22.2 sqlalchemy==2.0.44
"$folder/new/bin/pip" install --quiet --disable-pip-version-check mlflow-skinny==3.17.2
cd "$folder"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
setsid "$folder/old/bin/python" -m mlflow server --workers 1 --host 127.0.0.1 --port "$port" \
  --backend-store-uri "sqlite:///$folder/mlflow.db" --artifacts-destination "$folder/artifacts" > log 2>&1 &
server=$!
MLFLOW_DISABLE_TELEMETRY=true MLFLOW_LOGGING_LEVEL=ERROR "$folder/new/bin/python" - "http://127.0.0.1:$port" <<'PYTHON'
import sys
import time
import urllib.request

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

address = sys.argv[1]
for _ in range(300):
    try:
        version = urllib.request.urlopen(f"{address}/version").read().decode()
        break
    except OSError:
        time.sleep(0.3)
assert version == "2.22.2"
client = MlflowClient(tracking_uri=address)
run = client.create_run(client.create_experiment("one")).info.run_id
client.log_text(run, "text", "folder/file.txt")
names = [file.path for file in client.list_artifacts(run)]
print("list_artifacts(run) ->", names)
assert names == ["folder"]
try:
    answer = str([file.path for file in client.list_artifacts(run, "folder")])
except MlflowException as error:
    answer = str(error).partition(". Response")[0]
print("list_artifacts(run, 'folder') ->", answer)
assert "logged-models/search failed with error code 404" in answer
PYTHON
echo "unchanged"
