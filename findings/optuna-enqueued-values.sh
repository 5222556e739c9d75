#!/usr/bin/env bash
# Optuna 5.0.0: an enqueued value outside of the range runs as it is; one that is no integer runs cut off.
#
# `Study.enqueue_trial` takes values that the objective's later `suggest_*` does not allow. Where the objective asks
# for an integer from 1 to 5, an enqueued 99 is handed to it as 99 and recorded as 99: only a warning says that it is
# out of the range. An enqueued 2.7 runs as 2. A good guess is an error, or a value clipped to the range. A baseline
# that was enqueued with a slip of the pen then takes part in a study that could never have drawn it.
#
# Seen on 2026-11-28 (Python 3.11):
#   ran [99, 2], recorded [99, 2], 2 warnings of a value out of range
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check optuna==5.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import warnings

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
handed_out = []


def objective(trial):
    handed_out.append(trial.suggest_int("layers", 1, 5))
    return 0.0


study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
study.enqueue_trial({"layers": 99})
study.enqueue_trial({"layers": 2.7})
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    study.optimize(objective, n_trials=2)
recorded = [trial.params["layers"] for trial in study.trials]
told = [str(warning.message) for warning in caught if "out of range" in str(warning.message)]
print("ran", handed_out, "recorded", recorded, len(told), "warnings")
assert handed_out == [99, 2], handed_out
assert recorded == [99, 2], recorded
assert len(told) == 2, told
PYTHON
echo "unchanged"
