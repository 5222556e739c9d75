#!/usr/bin/env bash
# Ray Tune 2.60.0: the two settings of the result buffer act in each other's place.
#
# TUNE_RESULT_BUFFER_LENGTH is documented as the number of results that are passed on together, and
# TUNE_RESULT_BUFFER_MIN_TIME_S as the time for which they are gathered. Tune hands both to the trainable by position,
# in the other order than the trainable takes them. With a length of 500 and a time of 3 s, a trainable whose step takes 20 ms
# should pass on about 150 results every 3 s; it passes on 3 at a time. With a time of 0 (the default) the length has
# no effect at all. Who sets a length to take load off Tune's loop gets none, and who raises the time gets larger batches.
#
# Seen on 2026-11-28 (Python 3.11): results passed on together
#   length 500, time 3 s: 3
#   length 3, time 500 s: 149, gathered for 3 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "ray[tune]==2.60.0" 2>/dev/null
cat >"$folder/batches.py" <<'PYTHON'
import collections
import sys
import time

import ray
from ray import tune


class Steps(tune.Trainable):
    def step(self):
        time.sleep(0.02)
        return {"done": self.iteration >= 399}


class Batches(tune.Callback):
    """Count the results that arrive within 10 ms of each other."""

    def __init__(self):
        self.times = []

    def on_trial_result(self, iteration, trials, trial, result, **info):
        self.times.append(time.monotonic())


batches = Batches()
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
run_config = tune.RunConfig(
    verbose=0,
    callbacks=[batches],
    storage_path=sys.argv[1],
    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # Tune does not buffer otherwise
)
tune.Tuner(Steps, run_config=run_config).fit()
sizes = [1]
for before, after in zip(batches.times, batches.times[1:]):
    if after - before < 0.01:
        sizes[-1] += 1
    else:
        sizes.append(1)
print(collections.Counter(sizes).most_common(1)[0][0] if len(sizes) > 10 else max(sizes))
PYTHON
cd "$folder"
export RAY_USAGE_STATS_ENABLED=0 TUNE_DISABLE_AUTO_CALLBACK_LOGGERS=1 RAY_AIR_NEW_OUTPUT=0
by_length=$(TUNE_RESULT_BUFFER_LENGTH=500 TUNE_RESULT_BUFFER_MIN_TIME_S=3 TUNE_RESULT_BUFFER_MAX_TIME_S=3 \
  "$folder/venv/bin/python" batches.py "$folder/a" 2>/dev/null | tail -1)
by_time=$(TUNE_RESULT_BUFFER_LENGTH=3 TUNE_RESULT_BUFFER_MIN_TIME_S=500 TUNE_RESULT_BUFFER_MAX_TIME_S=500 \
  "$folder/venv/bin/python" batches.py "$folder/b" 2>/dev/null | tail -1)
echo "length 500, time 3 s: $by_length"
echo "length 3, time 500 s: $by_time"
[ "$by_length" -eq 3 ]
[ "$by_time" -gt 60 ]
echo "unchanged"
