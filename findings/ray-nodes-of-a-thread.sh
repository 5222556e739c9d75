#!/usr/bin/env bash
# Ray 2.60.0 on Linux: a node that a thread starts ends with the thread, not with the process.
#
# Ray asks the kernel to end its processes with their parent (PR_SET_PDEATHSIG). The kernel counts the thread that started a process
# as the parent. A program that adds a node with `ray.cluster_utils.Cluster.add_node` from a worker thread, such as one of a pool,
# loses the node when that thread ends; the head then reports a node that died, with no cause of its own.
#
# Seen on 2026-11-30 (Python 3.11): nodes alive 20 s after both were added, and the thread had ended
#   by the main thread: True
#   by a thread: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "ray[default]==2.60.0" 2>/dev/null
cat >"$folder/nodes.py" <<'PYTHON'
import threading
import time

import ray
from ray.cluster_utils import Cluster

options = {"num_cpus": 1, "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args={**options, "include_dashboard": False})
cluster.add_node(**options, resources={"main": 1})
thread = threading.Thread(target=lambda: cluster.add_node(**options, resources={"thread": 1}))
thread.start()
thread.join()
ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
time.sleep(20)
for name, words in {"main": "by the main thread", "thread": "by a thread"}.items():
    print(f"seen {words}: {any(node['Alive'] and name in node['Resources'] for node in ray.nodes())}")
ray.shutdown()
cluster.shutdown()
PYTHON
cd "$folder"
RAY_USAGE_STATS_ENABLED=0 "$folder/venv/bin/python" nodes.py 2>/dev/null | grep ^seen | tee "$folder/seen"
grep -q "by the main thread: True" "$folder/seen"
grep -q "by a thread: False" "$folder/seen"
echo unchanged
