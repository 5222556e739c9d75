"""The API's process stays light: it loads neither Ray nor what trains, and nothing of a user's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from pathlib import Path
from service.ledgers import SweepState
from tests.service.api.services import start_api
from tests.service.sweeps.sweeps import SPEC, add_trials

own = SPEC.replace("source: digits", "source: loading_test_module:load")
net = own.replace("space: {", "space: {backbone: {values: ['loading_test_module:net']}, ")
with start_api(Path(sys.argv[1])) as api:
    api.request("PATCH", "/users/ann", json={"own_code": True}, user="root")
    for text in (own, net):
        submitted = api.post("/sweeps", {"spec": text})
        assert submitted.status_code == 201, submitted.text
    for path, text in (("/validate", net), ("/plan", own)):
        checked = api.post(path, {"spec": text})
        assert checked.status_code == 200, checked.text
    add_trials(api.ledger, api.add_sweep(SweepState.RUNNING, name="cells"), 0.5, 0.7)
    for path in ("", "/status", "/trials", "/leaderboard", "/retrainings", "/curves", "/spec", "/events", "/logs"):
        assert api.get(f"/sweeps/cells{path}").status_code == 200, path
    for path in ("/report", "/report.html"):
        assert api.get(f"/sweeps/cells{path}").status_code == 200, path
    for path in ("/sweeps", "/queue", "/spaces", "/backbones", "/comparison?first=cells&second=cells"):
        assert api.get(path).status_code == 200, path
    for action in ("pause", "stop", "cancel"):
        assert api.post(f"/sweeps/cells/{action}").status_code == 200
    paused = api.add_sweep(SweepState.PAUSED)
    assert api.post(f"/sweeps/{paused.id}/resume", {}).status_code == 200
    done = api.add_sweep(SweepState.COMPLETED)
    add_trials(api.ledger, done, 0.5)
    assert api.get(f"/sweeps/{done.id}/recipe").status_code == 200
    assert api.request("DELETE", f"/sweeps/{done.id}").status_code == 200
heavy = {"torch", "torchvision", "timm", "ray", "mlflow", "optuna", "sklearn", "loading_test_module"}
print(sorted(heavy & sys.modules.keys()))
"""


def test_requests_load_neither_ray_nor_torch_nor_mlflow_nor_own_code(tmp_path: Path) -> None:
    (tmp_path / "loading_test_module.py").write_text("")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
