"""A cluster as docker/compose.yaml brings it up: a sweep from `submit` to `promote`, and what it does about faults.

The two nodes share nothing but the checkpoint store. All tests use one cluster, one after the other.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import timm
from mlflow.tracking import MlflowClient
from safetensors.torch import save_file
from sqlalchemy import create_engine, make_url, text

from service.ledgers import EventKind, SweepState, Trial
from service.settings import Home
from tests.databases import new_postgresql, postgresql
from tests.running_services import Drivers, mlflow_points, sweep_text, until
from tests.topologies.clusters import END_SECONDS, NODES, Cluster
from tests.topologies.hosts import require_namespaces

__all__ = ["new_postgresql", "postgresql"]

pytestmark = [pytest.mark.slow, pytest.mark.ray]

Record = Callable[[str, object], None]

DATABASES = ("meltpoint", "mlflow")
NAMED_SECONDS = 5.0
"""Time in which a node names the cause of what it cannot use."""

ELSEWHERE_SECONDS = 90.0
"""Time in which the trials of a lost node go on elsewhere."""

HEAD_SECONDS = 120.0
"""Time after the return of Ray's head in which sweeps go on."""

TRIALS, EPOCHS = 3, 30
"""Size of a sweep that goes on for some time."""

LONG = sweep_text(trials=TRIALS, epochs=EPOCHS, photos="/data/photos")
WEIGHTS = "weights.safetensors"
HEADS = (
    sweep_text(trials=4, epochs=2, photos="/data/photos", name="heads")
    .replace("weights: random", f"weights: /data/{WEIGHTS}")
    .replace("{values: [0, 3]}", "7")
)


class User:
    """A user with a token, who types commands on the host of the API, and the one who reads ledger and MLflow."""

    def __init__(self, cluster: Cluster, drivers: Drivers, tracking: str) -> None:
        token = re.search(r"admin token, .*: (mp_\S+)", cluster.parts["api"].text())
        assert token
        self.cluster, self.drivers, self.tracking = cluster, drivers, tracking
        self._sign_in = {"MELTPOINT_SERVICE": "http://api:8000", "MELTPOINT_TOKEN": token[1]}

    def type(self, *words: str) -> str:
        """Run a command; return what it printed."""
        done = self.cluster.run("api", "meltpoint", *words, **self._sign_in)
        assert done.returncode == 0, f"{words}: {done.stdout} {done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def submit(self, spec: str, *options: str) -> str:
        """Submit a sweep file's text; return the sweep's id."""
        self.cluster.hosts["api"].path("/tmp/sweep.yaml").write_text(spec)
        match = re.search(r"submitted (s-\w+)", self.type("submit", "sweep.yaml", *options))
        assert match
        return match[1]

    def begin(self) -> str:
        """Submit a long sweep, and wait until both nodes train; return its id."""
        sweep_id = self.submit(LONG)
        until(lambda: self.nodes_at_work(sweep_id) == set(NODES), lambda: self.tell(sweep_id), 120.0)
        return sweep_id

    def nodes_at_work(self, sweep_id: str) -> set[str | None]:
        """Return the nodes of trials that run and have reported."""
        return {trial.node for trial in self.drivers.trials(sweep_id) if trial.state == "running" and trial.epochs}

    def on_node(self, sweep_id: str, node: str) -> Trial:
        """Return the trial that runs on a node."""
        return next(trial for trial in self.drivers.trials(sweep_id) if trial.node == node and trial.state == "running")

    def starts(self, trial: Trial) -> list[str | None]:
        """Return the nodes on which a trial's attempts began, in order."""
        events = self.drivers.events(trial.sweep_id)
        return [
            event.payload.get("node")
            for event in events
            if event.trial_id == trial.id and event.kind is EventKind.TRIAL_STARTED
        ]

    def await_further(self, trial: Trial, seconds: float) -> float:
        """Wait until a trial has begun again and reported more epochs than it had; return the seconds."""
        began, before = time.monotonic(), len(self.starts(trial))
        with self.drivers.ledger() as ledger:

            def goes_on() -> bool:
                now = ledger.trials.get(trial.id)
                return len(self.starts(trial)) > before and now.epochs > trial.epochs

            until(goes_on, lambda: self.tell(trial.sweep_id), seconds)
        return time.monotonic() - began

    def check(self, sweep_id: str, record: Record, seconds: float = 240.0) -> None:
        """Wait for the sweep's end; check that every trial and row is there once, in the ledger and in MLflow."""
        self.drivers.await_completed([sweep_id], seconds)
        trials = self.drivers.trials(sweep_id)
        assert [(trial.state.value, trial.epochs) for trial in trials] == [("completed", EPOCHS)] * TRIALS
        expected, points = self.drivers.ledger_points(sweep_id), mlflow_points(self.tracking, sweep_id)
        assert set(expected.values()) == {1}
        record("lost", len(expected.keys() - points.keys()))
        record("doubled", sum(points.values()) - len(points))
        assert points == expected
        assert len(expected) == TRIALS * EPOCHS

    def tell(self, sweep_id: str) -> str:
        """Describe a sweep, for a failure's message."""
        trials = [
            (trial.number, trial.state.value, trial.epochs, trial.attempt, trial.node, trial.error)
            for trial in self.drivers.trials(sweep_id)
        ]
        events = [
            event.payload
            for event in self.drivers.events(sweep_id)
            if event.kind in (EventKind.NOTICE, EventKind.TRIAL_WAITING)
        ]
        return f"{self.drivers.sweep(sweep_id).state}: {trials}; {events}"


@pytest.fixture(scope="module")
def ledger_url(postgresql: str) -> Iterator[str]:
    """The URL of a new ledger's database, for this machine; MLflow's database lies beside it."""
    require_namespaces()
    engine = create_engine(postgresql, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE ROLE meltpoint SUPERUSER LOGIN"))
        for name in DATABASES:
            connection.execute(text(f"CREATE DATABASE {name} OWNER meltpoint"))
    yield make_url(postgresql).set(database="meltpoint").render_as_string(hide_password=False)
    with engine.connect() as connection:
        for name in DATABASES:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        connection.execute(text("DROP ROLE meltpoint"))
    engine.dispose()


@pytest.fixture(scope="module")
def cluster(ledger_url: str, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    socket = Path(str(make_url(ledger_url).query["host"])) / ".s.PGSQL.5432"
    data = tmp_path_factory.mktemp("data")
    shutil.copytree(tiny_folder, data / "photos")
    save_file(timm.create_model("test_efficientnet").state_dict(), data / WEIGHTS)
    with Cluster(tmp_path_factory.mktemp("cluster"), socket, data) as cluster:
        cluster.await_ready()
        yield cluster


@pytest.fixture
def user(cluster: Cluster, ledger_url: str) -> User:
    home = Home(cluster.hosts["drivers"].path("/home/meltpoint/.meltpoint"))
    tracking = make_url(ledger_url).set(database="mlflow").render_as_string(hide_password=False)
    return User(cluster, Drivers(home, cluster.folder, ledger_url), tracking)


def test_a_node_that_cannot_join_says_so_within_seconds(cluster: Cluster) -> None:
    own = {"MELTPOINT_HOME": "/home/meltpoint/another", "RAY_AUTH_MODE": "token"}
    began = time.monotonic()
    wrong = cluster.run("node1", "meltpoint", "node", "--ray", "head:6379", RAY_AUTH_TOKEN="b" * 64, **own)
    seconds = time.monotonic() - began
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "the Ray cluster at head:6379 refuses the token" in wrong.stderr
    assert seconds < NAMED_SECONDS + 5.0, "the start of Python counts, too, on a busy machine"
    healthy = cluster.run("node1", "meltpoint", "node", "--check")
    assert (healthy.returncode, healthy.stderr) == (0, "the node is healthy\n")


def test_a_sweep_from_submit_to_promote(user: User) -> None:
    spec = sweep_text(trials=4, epochs=3, photos="/data/photos") + "register: {model: cells}\n"
    sweep_id = user.submit(spec, "--follow")
    assert user.drivers.sweep(sweep_id).state is SweepState.COMPLETED
    assert {trial.node for trial in user.drivers.trials(sweep_id)} == set(NODES), "both nodes train"
    user.type("promote", sweep_id, "--unconfirmed")
    version = MlflowClient(tracking_uri=user.tracking).get_model_version_by_alias("cells", "champion")
    assert version.tags["meltpoint.sweep_id"] == sweep_id


def test_a_second_mix_of_heads_is_warm_on_both_nodes(user: User) -> None:
    user.submit(HEADS, "--follow")
    sweep_id = user.submit(HEADS.replace("seed: 0}\nscheduler", "seed: 1}\nscheduler"), "--follow")
    sharing = {trial.node: trial.sharing or {} for trial in user.drivers.trials(sweep_id)}
    assert {node: (used["computed"], used["read"] > 0) for node, used in sharing.items()} == dict.fromkeys(
        NODES, (0, True)
    )


@pytest.mark.experiment("20 node", runs=10)
def test_a_node_that_leaves_with_notice_hands_its_trials_over(
    cluster: Cluster, user: User, turn: int, record_property: Record
) -> None:
    sweep_id = user.begin()
    trial = user.on_node(sweep_id, "node2")
    cluster.parts["node2"].end()
    record_property("recovery", user.await_further(trial, ELSEWHERE_SECONDS))
    assert cluster.parts["node2"].wait(END_SECONDS) == 0
    assert cluster.hosts["node2"].processes() == []
    assert list(cluster.hosts["node2"].path("/tmp").glob("mp-*")) == []
    cluster.start_node("node2")
    user.check(sweep_id, record_property)
    assert user.starts(trial)[:2] == ["node2", "node1"]


@pytest.mark.experiment(4, runs=5)
def test_trials_of_a_lost_node_go_on_elsewhere(
    cluster: Cluster, user: User, turn: int, record_property: Record
) -> None:
    sweep_id = user.begin()
    trial = user.on_node(sweep_id, "node2")
    cluster.lose("node2")
    record_property("recovery", user.await_further(trial, ELSEWHERE_SECONDS))
    cluster.return_node("node2")
    user.check(sweep_id, record_property)


@pytest.mark.thorough
@pytest.mark.experiment(8)
def test_a_link_that_is_cut_for_half_a_minute_fails_no_trial(
    cluster: Cluster, user: User, record_property: Record
) -> None:
    sweep_id = user.begin()
    trial = user.on_node(sweep_id, "node2")
    cluster.network.cut("node2")
    time.sleep(30)
    cluster.network.mend("node2")
    user.check(sweep_id, record_property)
    assert len(user.starts(trial)) == 1


def test_drivers_that_start_again_while_mlflow_is_away_lose_nothing(
    cluster: Cluster, user: User, record_property: Record
) -> None:
    sweep_id = user.begin()
    mlflow, drivers = cluster.parts["mlflow"], cluster.parts["drivers"]
    mlflow.end()
    assert mlflow.wait(END_SECONDS) == 0
    starts = drivers.starts
    drivers.restart()
    until(lambda: drivers.starts > starts, "the drivers did not start again", 100.0)
    assert user.drivers.sweep(sweep_id).state is SweepState.QUEUED
    cluster.start("mlflow")
    user.check(sweep_id, record_property)
    assert user.drivers.sweep(sweep_id).restarts == 0
    assert all(len(user.starts(trial)) <= 2 for trial in user.drivers.trials(sweep_id)), "one restart, of the drivers"


@pytest.mark.thorough
@pytest.mark.experiment("8 long")
def test_a_link_that_is_cut_for_three_minutes(cluster: Cluster, user: User, record_property: Record) -> None:
    sweep_id = user.begin()
    trial = user.on_node(sweep_id, "node2")
    cluster.network.cut("node2")
    began = time.monotonic()
    record_property("recovery", user.await_further(trial, 180.0))
    time.sleep(max(0.0, 180 - (time.monotonic() - began)))
    cluster.network.mend("node2")
    user.check(sweep_id, record_property)


@pytest.mark.thorough
@pytest.mark.experiment(6)
def test_nothing_of_a_node_that_was_stopped_is_accepted(cluster: Cluster, user: User, record_property: Record) -> None:
    sweep_id = user.begin()
    trial = user.on_node(sweep_id, "node2")
    cluster.hosts["node2"].stop()
    began = time.monotonic()
    record_property("recovery", user.await_further(trial, 120.0))
    time.sleep(max(0.0, 120 - (time.monotonic() - began)))
    cluster.hosts["node2"].go_on()
    user.check(sweep_id, record_property)


@pytest.mark.thorough
@pytest.mark.experiment("3 head")
def test_a_sweep_goes_on_after_the_head_was_killed(cluster: Cluster, user: User, record_property: Record) -> None:
    sweep_id = user.begin()
    trial = user.on_node(sweep_id, "node2")
    starts = cluster.parts["head"].starts
    for process in cluster.hosts["head"].processes():
        process.kill()
    until(lambda: cluster.parts["head"].starts > starts and cluster.has_joined("head"), "no head", 60.0)
    record_property("recovery", user.await_further(trial, HEAD_SECONDS))
    user.check(sweep_id, record_property)


def test_the_cluster_ends_within_half_a_minute_and_leaves_nothing(cluster: Cluster) -> None:
    """End one node by kill -9 and one by the end of its Ray, the rest in order."""
    killed, broken = cluster.parts.pop("node1"), cluster.parts.pop("node2")
    killed.forget()
    killed.main.kill()
    until(lambda: not killed.host.processes(), lambda: f"{killed.host.processes()} outlived the node", 15.0)
    broken.forget()
    next(process for process in broken.host.processes() if process.name() == "raylet").kill()
    assert broken.wait(END_SECONDS) == 1
    assert re.search(r"^Ray ended \(exit code \d+\): .+", broken.text_of_run(), re.MULTILINE)
    assert "node_process.py" not in broken.text_of_run(), "no traceback of ours"
    began = time.monotonic()
    codes = cluster.end()
    assert time.monotonic() - began < END_SECONDS
    assert set(codes.values()) == {0}, codes
    left = {name: host.processes() for name, host in cluster.hosts.items()}
    assert not any(left.values()), left
    assert not [place for host in cluster.hosts.values() for place in host.path("/tmp").glob("mp-*")]
