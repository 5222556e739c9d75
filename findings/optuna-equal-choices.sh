#!/usr/bin/env bash
# Optuna 5.0.0: of categorical choices that compare equal, another one is recorded than the one that ran.
#
# A categorical parameter with the choices True, 1 and 1.0 may hand the objective 1 or 1.0. The trial's recorded
# params then hold True, the first choice that compares equal. So `study.best_params` names a value that the best trial
# did not run with, and a sampler that learns from the records counts all three as the first. A good guess is that
# such choices are refused, or that the record is what ran. Nothing is said when the study is run.
#
# Seen on 2026-11-28 (Python 3.11):
#   ran ['1', '1.0', 'True']
#   record ['True']
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check optuna==5.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
handed_out = []


def objective(trial):
    value = trial.suggest_categorical("flag", [True, 1, 1.0])
    handed_out.append(value)
    return 0.0


study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
study.optimize(objective, n_trials=60)
ran = sorted({repr(value) for value in handed_out})
recorded = sorted({repr(trial.params["flag"]) for trial in study.trials})
print("ran", ran)
print("record", recorded)
assert ran == ["1", "1.0", "True"], ran
assert recorded == ["True"], recorded
PYTHON
echo "unchanged"
