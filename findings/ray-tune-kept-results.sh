#!/usr/bin/env bash
# Ray Tune 2.60.0: the driver keeps a reference to the result of every step until the trial's actor ends.
#
# Tune awaits the result of a step, hands it to callbacks and schedulers, and is done with it. Its manager of actors, however,
# notes each awaited result under the actor too, and clears that note only when the actor goes away. A reference that is
# kept keeps the result and what Ray knows of the call: some 5 KiB a step for small results. A trial of 100,000 steps, or
# an actor that is reused for one trial after another (reuse_actors), thus takes hundreds of MiB in the driver, and a driver that
# runs for weeks grows without an end.
#
# Seen on 2026-11-29 (Python 3.11): references that the driver held after so many steps of one trial
#   100 steps: 101 references
#   400 steps: 401 references
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "ray[tune]==2.60.0" 2>/dev/null
cat >"$folder/references.py" <<'PYTHON'
import gc
import sys

import ray
from ray import tune


class Steps(tune.Trainable):
    def step(self):
        return {"done": self.iteration >= 399}


class References(tune.Callback):
    """Count the references to results that are alive after certain steps."""

    def on_trial_result(self, iteration, trials, trial, result, **info):
        steps = result["training_iteration"]
        if steps in (100, 400):
            gc.collect()
            print(steps, sum(isinstance(thing, ray.ObjectRef) for thing in gc.get_objects()))


ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
run_config = tune.RunConfig(
    verbose=0,
    callbacks=[References()],
    storage_path=sys.argv[1],
    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
)
tune.Tuner(Steps, run_config=run_config).fit()
PYTHON
cd "$folder"
export RAY_USAGE_STATS_ENABLED=0 TUNE_DISABLE_AUTO_CALLBACK_LOGGERS=1 RAY_AIR_NEW_OUTPUT=0
"$folder/venv/bin/python" references.py "$folder/results" 2>/dev/null | grep -E '^(100|400) ' | tee "$folder/counts"
after_100=$(sed -n 's/^100 //p' "$folder/counts")
after_400=$(sed -n 's/^400 //p' "$folder/counts")
echo "100 steps: $after_100 references"
echo "400 steps: $after_400 references"
[ $((after_400 - after_100)) -ge 290 ]
echo "unchanged"
