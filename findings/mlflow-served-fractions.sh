#!/usr/bin/env bash
# MLflow 3.17.2: the scoring server cuts fractions off for a uint8 signature, and answers with status 200.
#
# A model with the input `TensorSpec(uint8, (-1, 2))` refuses floats when called in Python. Its server refuses 300 and -1
# (status 400), but turns 0.5 into 0 without a word: pixels that a client has scaled to 0..1 become black photos, and the
# answer looks like any other.
#
# Seen on 2026-11-29 (Python 3.11):
#   predict in Python: MlflowException
#   served [[0.5, 0.9]] -> 200 {"predictions": [[0, 0]]}
#   served [[300, 0]] -> 400
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlflow==3.17.2 httpx2
cd "$folder"
MLFLOW_DISABLE_TELEMETRY=true MLFLOW_LOGGING_LEVEL=ERROR "$folder/venv/bin/python" - <<'PYTHON'
import json

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.pyfunc.scoring_server import init
from mlflow.types.schema import Schema, TensorSpec
from starlette.testclient import TestClient


class Same(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input


tensor = TensorSpec(np.dtype("uint8"), (-1, 2))
mlflow.pyfunc.save_model("model", python_model=Same(), signature=ModelSignature(Schema([tensor]), Schema([tensor])))
model = mlflow.pyfunc.load_model("model")
try:
    model.predict(np.array([[0.5, 0.9]]))
    refused = False
except MlflowException:
    refused = True
print("predict in Python:", "MlflowException" if refused else "answered")
client = TestClient(init(model))
answers = {}
for inputs in ([[0.5, 0.9]], [[300, 0]]):
    answer = client.post("/invocations", json={"inputs": inputs})
    answers[json.dumps(inputs)] = answer
    print("served", inputs, "->", answer.status_code, answer.text if answer.status_code == 200 else "")
assert refused
first, second = answers.values()
assert (first.status_code, first.json()) == (200, {"predictions": [[0, 0]]})
assert second.status_code == 400
PYTHON
echo "unchanged"
