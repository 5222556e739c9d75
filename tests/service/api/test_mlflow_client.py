"""MLflow's own client works through the door: an admin writes, a viewer reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.ledgers import Role
from tests.service.api.doors import token_of
from tests.service.commands.services import RunningService, serving

pytestmark = pytest.mark.slow

WRITES = """
import json, sys
from pathlib import Path
import mlflow
client = mlflow.MlflowClient()
experiment = client.create_experiment("by hand")
run = client.create_run(experiment, run_name="first").info.run_id
client.log_metric(run, "loss", 0.5, step=1)
client.log_batch(run, params=[mlflow.entities.Param("lr", "0.1")])
(Path(sys.argv[1]) / "large.bin").write_bytes(bytes(5_000_000))
client.log_artifact(run, str(Path(sys.argv[1]) / "large.bin"), "files")
client.set_terminated(run)
print(json.dumps({"experiment": experiment, "run": run}))
"""
READS = """
import json, sys
from pathlib import Path
import mlflow
client = mlflow.MlflowClient()
run = client.search_runs([sys.argv[1]])[0]
file = client.download_artifacts(run.info.run_id, "files/large.bin", sys.argv[2])
try:
    client.set_tag(run.info.run_id, "a", "b")
    refusal = ""
except mlflow.exceptions.MlflowException as error:
    refusal = str(error)
print(json.dumps({"metrics": run.data.metrics, "bytes": Path(file).stat().st_size, "refusal": refusal}))
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    for name in ("MELTPOINT_LEDGER", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    with serving(tmp_path / "home", "--role", "api", "--port", "0") as service:
        service.wait_for_mlflow()
        yield service


def mlflow_client(service: RunningService, token: str, program: str, *arguments: str) -> dict[str, object]:
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"{service.url}/mlflow",
        "MLFLOW_TRACKING_TOKEN": token,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    command = [sys.executable, "-c", program, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=120)
    document: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return document


def test_an_admin_writes_and_a_viewer_reads(service: RunningService, tmp_path: Path) -> None:
    for folder in ("written", "read"):
        (tmp_path / folder).mkdir()
    written = mlflow_client(service, service.token, WRITES, str(tmp_path / "written"))
    viewer = token_of(tmp_path / "home", "vera", Role.VIEWER)
    read = mlflow_client(service, viewer, READS, str(written["experiment"]), str(tmp_path / "read"))
    assert (read["metrics"], read["bytes"]) == ({"loss": 0.5}, 5_000_000)
    assert "only an admin may change what MLflow stores" in str(read["refusal"])
