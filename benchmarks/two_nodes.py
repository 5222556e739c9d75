"""A sweep on one node and on two, each of one core and with a home of its own, beside the time that nodes could save.

    python benchmarks/two_nodes.py [--rounds N] [--tiny] [--set KEY=VALUE]

The uniform mix (`mixes/uniform.yaml`) with empty homes: each node prepares its images and computes its prefixes. The
nodes are processes of Ray on this machine, each bound to a core of its own; driver, MLflow and Ray's head may use every
core, as a host of their own would. Nodes share a folder of checkpoints alone. The table shows whole commands, and
the time from the start of the first trial to the end of the last.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import machines
from contenders import HERE, MELTPOINT, run_json
from ray.cluster_utils import Cluster
from scale_nodes import STORE_BYTES
from tiny import write_tiny

from search_spaces import load_spec
from service.clocks import now_ms
from service.ledgers import Ledger
from service.settings import Home
from trainables.nodes import Node
from trainables.processes import ForkServer
from trainables.trials import PRELOAD

MIX = HERE / "mixes" / "uniform.yaml"


@dataclass(frozen=True, kw_only=True)
class Took:
    """Seconds of the whole command, and from the start of the first trial to the end of the last; trials by node."""

    command: float
    training: float
    trials: dict[str, int]


@contextmanager
def separate_nodes(number: int, folder: Path) -> Iterator[str]:
    """Run nodes while entered, each bound to a core; yield the head's address."""
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, cores)
        head = {"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        stack.callback(cluster.shutdown)
        for place, core in enumerate(cores[:number]):
            os.sched_setaffinity(0, {core})
            server = stack.enter_context(closing(ForkServer(preload=PRELOAD)))
            node = Node(name=f"node-{place}", home=folder / f"node-{place}", fork_server=server.address)
            cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES, env_vars=node.variables())
        os.sched_setaffinity(0, cores)
        cluster.wait_for_nodes()
        yield str(cluster.address)


def run_on(number: int, mix: Path, changes: list[str]) -> Took:
    """Run the mix on so many nodes, with empty homes."""
    with tempfile.TemporaryDirectory(prefix="meltpoint-nodes-") as name:
        folder = Path(name)
        home = Home(folder / "home")
        with separate_nodes(number, folder) as address:
            assigned = [part for change in changes for part in ("--set", change)]
            os.environ["RAY_ADDRESS"] = address
            try:
                command = [*MELTPOINT, "run", str(mix), *assigned, "-o", "json"]
                seconds, outcome = run_json(command, home.root)
            finally:
                del os.environ["RAY_ADDRESS"]
        with closing(Ledger.open(home, clock=now_ms)) as ledger:
            trials = ledger.trials.list(outcome["sweep_id"])
        assert all(trial.state.value == "completed" for trial in trials), [trial.error for trial in trials]
        begun = min(trial.started_at or 0 for trial in trials)
        ended = max(trial.finished_at or 0 for trial in trials)
        nodes = [str(trial.node) for trial in trials]
        return Took(
            command=seconds,
            training=(ended - begun) / 1000,
            trials={node: nodes.count(node) for node in sorted(set(nodes))},
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tiny", action="store_true", help="few small images, only to see that everything works")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    took: dict[int, list[Took]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as scratch:
        mix = write_tiny(load_spec(MIX), Path(scratch)) if options.tiny else MIX
        for number in range(1, options.rounds + 1):
            for nodes, rows in took.items():
                print(f"two nodes, round {number}/{options.rounds}, {nodes} of them", file=sys.stderr, flush=True)
                rows.append(run_on(nodes, mix, options.changes))
                print(f"  {rows[-1]}", file=sys.stderr, flush=True)
    about = machines.describe()
    print(f"{about['date']}; {about['machine']}; commit {about['commit']}\n")
    print("| nodes | whole command, s | training, s | trials by node |\n| --- | --- | --- | --- |")
    for nodes, rows in took.items():
        command, training = (statistics.median(getattr(row, name) for row in rows) for name in ("command", "training"))
        print(f"| {nodes} | {command:.1f} | {training:.1f} | {rows[-1].trials} |")
    ratios = [alone.training / pair.training for alone, pair in zip(took[1], took[2], strict=True)]
    print(f"\nTwo nodes trained {statistics.median(ratios):.2f} times sooner than one.")


if __name__ == "__main__":
    main()
