"""Commands that act on a service: sign in, submit, follow, and the commands about sweeps."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from search_spaces.documents import MAX_BYTES
from service.clocks import now_ms
from service.ledgers import Ledger, Role, Sweep, SweepState
from service.runs.leases import driving
from service.settings import MAX_BODY_BYTES, Home
from tests.contracts.services import ApiServer, Driver, beat_drivers, signed_in
from tests.service.sweeps.sweeps import SPEC, add_trials

MELTPOINT = Path(sys.executable).with_name("meltpoint")
REGISTERED = {"uri": "models:/cells@candidate", "version": "1"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The home of the service; the commands have another one."""
    return Home(tmp_path / "service-home").create()


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    with closing(Ledger.open(home, clock=now_ms)) as ledger:
        beat_drivers(ledger)
        yield ledger


@pytest.fixture
def server(home: Home, ledger: Ledger) -> Iterator[ApiServer]:
    server = ApiServer(home)
    server.start()
    yield server
    server.stop()


class Shell:
    """A user's shell, in a folder with a sweep file, with a config folder and a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "sweep.yaml").write_text(SPEC)
        own = {"XDG_CONFIG_HOME": str(folder / "config"), "MELTPOINT_HOME": str(folder / "home"), "NO_COLOR": "1"}
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("MELTPOINT_")} | own

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command = [str(MELTPOINT), *arguments]
        options = {"cwd": self.folder, "env": self.env, "capture_output": True, "text": True, "timeout": 60}
        return subprocess.run(command, input=stdin, **options)  # type: ignore[call-overload, no-any-return]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command."""
        command = [str(MELTPOINT), *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def json(self, *arguments: str) -> Any:
        """Return what a command prints as JSON."""
        result = self.run(*arguments, "-o", "json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "shell")


@pytest.fixture
def ada(shell: Shell, home: Home, server: ApiServer) -> Shell:
    """A shell signed in as a submitter."""
    token = signed_in(home, server, "ada", Role.SUBMITTER).token
    assert shell.run("login", server.url, "--name", "lab", stdin=token + "\n").returncode == 0
    return shell


def run_sweep(ledger: Ledger, sweep: Sweep) -> None:
    """Drive a sweep to its end, with its model registered a moment later."""
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    add_trials(ledger, sweep, 0.5, 0.75)
    ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    time.sleep(0.3)
    ledger.sweeps.note(sweep.id, registered=REGISTERED)


def test_login_tries_the_token_before_it_keeps_it(shell: Shell, home: Home, server: ApiServer, tmp_path: Path) -> None:
    wrong = shell.run("login", server.url, stdin="mp_00_11\n")
    assert wrong.returncode == 1
    assert "does not take the token" in wrong.stderr
    kept = shell.folder / "config" / "meltpoint" / "contexts.json"
    assert not kept.exists()
    file = tmp_path / "token"
    file.write_text(signed_in(home, server, "ada", Role.SUBMITTER).token + "\n")
    right = shell.run("login", server.url, "--name", "lab", "--token-file", str(file))
    assert right.stderr.splitlines() == [
        f"signed in to lab ({server.url}) as ada (submitter); commands act on it from now on",
        "next: meltpoint submit SPEC",
    ]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_wrong_token_in_the_variable_is_named_with_a_way_that_helps(ada: Shell, server: ApiServer) -> None:
    ada.env |= {"MELTPOINT_SERVICE": "lab", "MELTPOINT_TOKEN": "mp_wrong"}
    refused = ada.run("ls")
    assert refused.returncode == 1
    assert "this token is unknown here; it is the one in the variable MELTPOINT_TOKEN" in refused.stderr
    assert "meltpoint login" not in refused.stderr.replace("`meltpoint login` has stored", "")
    del ada.env["MELTPOINT_TOKEN"]  # as the message says
    assert ada.run("ls").returncode == 0
    ada.env |= {"MELTPOINT_SERVICE": server.url, "MELTPOINT_TOKEN": "mp_\u00fc"}
    assert "it is the one in the variable MELTPOINT_TOKEN" in ada.run("ls").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["http://sweeps.example.org"], "is not encrypted: others on the network could read the token"),
        (["ftp://x"], "a service's address must be like"),
        (["http://127.0.0.1:9", "--name", "-x"], "--name must begin with a letter or digit"),
    ],
)
def test_login_refuses_what_it_should_not_send(shell: Shell, arguments: list[str], message: str) -> None:
    result = shell.run("login", *arguments, stdin="mp_1_2\n")
    assert (result.returncode, message in result.stderr) == (2, True)


def test_login_to_something_else_says_so(shell: Shell) -> None:
    import http.server
    import threading

    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        result = shell.run("login", f"http://127.0.0.1:{other.server_address[1]}", stdin="mp_1_2\n")
        other.shutdown()
    assert (result.returncode, "answers 404" in result.stderr) == (1, True)


def test_contexts_are_shown_chosen_and_forgotten(ada: Shell, server: ApiServer) -> None:
    assert ada.json("context") == {
        "name": "lab",
        "url": server.url,
        "origin": str(ada.folder / "config" / "meltpoint" / "contexts.json"),
    }
    assert "commands act on the home" in ada.run("context", "--none").stderr
    assert ada.json("context") == {"name": None, "url": None, "origin": None}
    assert ada.json("context", "--list") == [{"name": "lab", "url": server.url, "current": False}]
    assert ada.run("ls", "--context", "lab").stderr.splitlines()[0] == f"on lab ({server.url})"
    assert ada.run("context", "lab").stderr == f"commands act on lab ({server.url}) from now on\n"
    assert ada.run("context", "rm", "lab").returncode == 0
    assert ada.json("context", "--list") == []
    assert ada.run("context", "lab").returncode == 2


def test_submit_prints_id_place_and_the_next_command(ada: Shell, home: Home, server: ApiServer) -> None:
    with Driver(home):
        result = ada.run("submit", "sweep.yaml", "--set", "budget.trials=5", "--priority", "-3", "--slots", "1")
    assert result.returncode == 0, result.stderr
    (row,) = ada.json("ls")
    assert result.stderr.splitlines() == [
        f"on lab ({server.url})",
        f"submitted {row['sweep_id']} (cells): place 1 in the queue",
        f"next: meltpoint watch {row['sweep_id']}",
    ]
    (entry,) = ada.json("queue")
    assert (entry["owner"], entry["priority"], entry["slot_cap"], entry["state"]) == ("ada", -3, 1, "queued")
    assert ada.json("status", "last")["state"] == "queued"
    assert ada.run("status", "last").returncode == 0


def test_problems_of_a_submitted_file_are_printed_like_those_of_validate(ada: Shell) -> None:
    (ada.folder / "sweep.yaml").write_text(
        "name: cells\ndata: {source: digits, image_sise: 4}\nspace: {batch_size: 8}\nbudget: {trials: 0}\n"
    )
    ours, theirs = ada.run("validate", "sweep.yaml"), ada.run("submit", "sweep.yaml")
    assert (ours.returncode, theirs.returncode) == (2, 2)
    assert theirs.stderr.splitlines()[1:] == ours.stderr.splitlines()
    assert ours.stderr.startswith("sweep.yaml:2:24 data.image_sise: unknown key")


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(ada: Shell) -> None:
    text = SPEC + "#" * MAX_BYTES
    (ada.folder / "sweep.yaml").write_text(text)
    results = [ada.run(command, "sweep.yaml") for command in ("validate", "plan", "run", "submit")]
    (message,) = {result.stderr for result in results}
    assert message.startswith(f"sweep.yaml: must be at most {MAX_BYTES} bytes (1 MiB), but is {len(text)}; check that")
    assert {result.returncode for result in results} == {2}


@pytest.mark.parametrize("letter", ["#", '"', "é"])
def test_the_largest_file_fits_into_a_request(letter: str) -> None:
    text = letter * (MAX_BYTES // len(letter.encode()))
    assert len(json.dumps({"spec": text, "file": "sweep.yaml", "assign": []}).encode()) < MAX_BODY_BYTES


@pytest.mark.thorough  # reading a file of this size takes 15 s
@pytest.mark.parametrize("letter", ["#", '"', "é"])
def test_the_largest_file_that_validates_can_be_submitted(ada: Shell, letter: str) -> None:
    head = f"{SPEC}\n# "
    room = MAX_BYTES - len(head.encode()) - 1
    (ada.folder / "sweep.yaml").write_text(head + letter * (room // len(letter.encode())) + "\n", encoding="utf-8")
    for command in ("validate", "submit"):
        result = ada.run(command, "sweep.yaml")
        assert result.returncode == 0, result.stderr


def test_following_a_submitted_sweep_shows_it_from_its_first_result_to_its_model(ada: Shell, home: Home) -> None:
    with Driver(home, run=run_sweep):
        result = ada.run("submit", "sweep.yaml", "--follow")
    assert result.returncode == 0, result.stderr
    lines = [line.split(" ")[0] for line in result.stderr.splitlines()]
    order = [lines.index(word) for word in ("on", "submitted", "first", "best", "registered", "next:")]
    assert order == sorted(order), result.stderr
    assert result.stdout.splitlines()[1].split()[1:3] == ["completed", "0.7500"]
    assert ada.run("watch", "last").returncode == 0


def test_ctrl_c_detaches_and_the_printed_command_comes_back(ada: Shell, home: Home, ledger: Ledger) -> None:
    def begin(ledger: Ledger, sweep: Sweep) -> None:
        ledger.sweeps.move(sweep.id, SweepState.RUNNING)
        ledger.trials.create(sweep.id, number=0, point={}, recipe={}, identity="0", seed=0, started=True)

    with Driver(home, run=begin):
        process = ada.start("submit", "sweep.yaml", "--follow")
        assert process.stderr is not None
        while not process.stderr.readline().startswith("sweep s-"):
            pass
    (sweep,) = ledger.sweeps.list()
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert (process.returncode, rest.splitlines()) == (
        101,
        [f"detached; {sweep.id} goes on", f"next: meltpoint watch {sweep.id}"],
    )
    with driving(home, ledger, sweep.id):
        assert ledger.sweeps.get(sweep.id).state is SweepState.RUNNING
        assert ada.run("status", "last", "--exit-code").returncode == 101
        ledger.sweeps.move(sweep.id, SweepState.FAILED, error="no more")
    assert ada.run("watch", sweep.id).returncode == 100


def test_ui_points_to_the_services_mlflow_and_starts_none(ada: Shell, ledger: Ledger, server: ApiServer) -> None:
    sweep_id = ada.json("submit", "sweep.yaml")["sweep_id"]
    before = ada.run("ui", "--no-browser")
    assert (before.returncode, before.stderr.splitlines()[-1]) == (0, f"MLflow: {server.url}/mlflow/")
    ledger.sweeps.note(sweep_id, mlflow={"tracking_uri": "http://127.0.0.1:9", "experiment_id": "7", "run_id": "ab"})
    for arguments in (("ui",), ("ui", sweep_id)):
        result = ada.run(*arguments, "--no-browser")
        assert result.returncode == 0
        view = f"MLflow: {server.url}/mlflow/#/experiments/7/runs?viewStateShareKey={sweep_id}&"
        assert result.stderr.splitlines()[-1].startswith(view)
    unknown = ada.run("ui", "s-000000", "--no-browser")
    assert (unknown.returncode, "s-000000" in unknown.stderr) == (1, True)


def test_another_users_sweep_does_not_exist(ada: Shell, home: Home, server: ApiServer, tmp_path: Path) -> None:
    bob = Shell(tmp_path / "bob")
    token = signed_in(home, server, "bob", Role.SUBMITTER).token
    assert bob.run("login", server.url, "--name", "lab", stdin=token).returncode == 0
    with Driver(home):
        ada.run("submit", "sweep.yaml")
    (row,) = ada.json("ls", "--mine")
    assert bob.json("ls") == []
    for command in ("status", "trials", "pause", "cancel", "logs"):
        assert bob.run(command, row["sweep_id"]).stderr.splitlines()[1].startswith("no sweep")
    assert bob.run("watch", row["sweep_id"]).returncode == 102
    assert bob.run("rm", row["sweep_id"], "--yes").returncode == 1


def test_users_and_tokens_are_kept_by_an_admin(shell: Shell, home: Home, server: ApiServer) -> None:
    admin = signed_in(home, server, "admin", Role.ADMIN)
    shell.env |= {"MELTPOINT_SERVICE": server.url, "MELTPOINT_TOKEN": admin.token}
    assert shell.run("user", "add", "eve", "--max-sweeps", "2", "--gpu-hours", "1.5").returncode == 0
    (changed,) = shell.json("user", "set", "eve", "--max-sweeps", "none", "--role", "viewer")
    assert (changed["max_sweeps"], changed["gpu_hours"], changed["role"]) == (None, 1.5, "viewer")
    text = shell.run("token", "create", "--user", "eve", "--label", "first", "--days", "3").stdout.strip()
    eve = Shell(shell.folder / "eve")
    eve.env |= {"MELTPOINT_SERVICE": server.url, "MELTPOINT_TOKEN": text}
    assert eve.json("ls") == []
    refused = eve.run("user", "ls")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    (row,) = [row for row in shell.json("token", "ls") if row["user"] == "eve"]
    assert text not in json.dumps(row)
    assert shell.run("token", "revoke", row["id"]).stderr.splitlines()[-1] == f"revoked {row['id']}"
    assert "does not take the token" in eve.run("ls").stderr
    assert shell.run("token", "revoke", "nobodys").returncode == 1
    wrong = shell.run("user", "add", "Eve!")
    assert (wrong.returncode, wrong.stderr.splitlines()[1].startswith("name: ")) == (2, True)
    assert shell.run("user", "set", "eve").returncode == 2
    assert shell.run("user", "set", "eve", "--max-sweeps", "0").returncode == 2


def test_submit_without_a_context_finds_the_service_on_its_home(shell: Shell, home: Home, server: ApiServer) -> None:
    admin = signed_in(home, server, "admin", Role.ADMIN)
    (home.root / "admin-token").write_text(admin.token)
    (home.root / "service.json").write_text(json.dumps({"url": server.url, "pid": os.getpid(), "started_at": 0}))
    shell.env["MELTPOINT_HOME"] = str(home.root)
    with Driver(home, run=run_sweep):
        result = shell.run("submit", "sweep.yaml", "--follow", "-o", "json")
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[0] == f"on this home's service ({server.url})"
    assert json.loads(result.stdout)["registered"] == REGISTERED


def test_a_service_that_is_away_is_one_sentence(ada: Shell, server: ApiServer) -> None:
    ada.env["MELTPOINT_TOKEN"], ada.env["MELTPOINT_SERVICE"] = "mp_1_2", "http://127.0.0.1:9"
    result = ada.run("logs", "last")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "the service http://127.0.0.1:9 does not answer: Connection refused"


def test_submit_loads_nothing_heavy(shell: Shell) -> None:
    code = (
        "import sys; sys.argv = ['meltpoint', 'submit', 'sweep.yaml']\n"
        "from service.commands.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "import service.clients.remote_sweeps, service.terminals.following\n"
        "print(sorted({'torch', 'ray', 'mlflow', 'sqlalchemy', 'numpy', 'optuna'} & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=shell.folder, env=shell.env
    )
    assert result.stdout.splitlines()[-1] == "[]"


def test_the_shell_completes_sweeps_and_contexts_of_a_service(ada: Shell, home: Home) -> None:
    with Driver(home):
        ada.run("submit", "sweep.yaml")

    def completed(line: str) -> list[str]:
        words = {"_MELTPOINT_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        result = subprocess.run([MELTPOINT], env=ada.env | words, capture_output=True, text=True, timeout=60)
        return result.stdout.split()

    assert completed("meltpoint watch ce") == ["cells"]
    assert completed("meltpoint status la") == ["last"]
    assert completed("meltpoint context la") == ["lab"]
    assert completed("meltpoint ls --context la") == ["lab"]
