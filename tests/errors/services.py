"""Errors of a service: its start, contexts and tokens, and requests that it refuses."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any
from unittest import mock

import uvicorn
from starlette.responses import HTMLResponse

from search_spaces import Goal
from service.api import ApiSettings
from service.api.app import create_app
from service.clients import Connection
from service.clocks import now_ms
from service.clusters import version_labels
from service.file_locks import try_lock
from service.identities import issue_token
from service.ledgers import Ledger, Role, ServiceProcess
from service.queues import Limits
from service.settings import Home
from tests.errors.cases import Case, Section, code
from tests.errors.folders import Folder
from tests.errors.machines import add_sweeps, command, with_file
from tests.service.clusters.answering_heads import answering_head

SHOWN_PORT: Mapping[str, str] = {r"127\.0\.0\.1:\d+": "127.0.0.1:8000"}
SHOWN_HEAD: Mapping[str, str] = {r"127\.0\.0\.1:\d+": "127.0.0.1:6379", r"\(here [\d.]+\)": "(here 0.1.0)"}
RAY_TOKEN = "a" * 64
CONTEXTS_FILE = "config/meltpoint/contexts.json"
ANN, VIC, ROOT = "ann", "vic", "root"
SPEC = "name: cells\ndata: {source: digits}\nspace: {batch_size: 32}\n"
READY = {"state": "ready"}
MAX_WAITING = 200

Make = Callable[[Folder], Sequence[str]]
Fill = Callable[[Ledger], object]


def sign_in(folder: Folder, url: str, token: str = "mp_1a2b3c") -> None:
    """Write the user's context `lab`, and make it the current one."""
    text = json.dumps({"contexts": {"lab": {"url": url, "token": token}}, "current": "lab"})
    folder.write(CONTEXTS_FILE, text).chmod(0o600)


def signed_in(*arguments: str, url: str = "http://127.0.0.1:8000") -> Make:
    """Return a function that prepares a command whose context is `lab`, where nothing has to answer."""

    def make(folder: Folder) -> Sequence[str]:
        sign_in(folder, url)
        folder.during.enter_context(mock.patch.dict(Connection.__init__.__kwdefaults__, {"patience": 0.0}))
        return arguments

    return make


def asked(
    *arguments: str,
    user: str = ANN,
    token: str | None = None,
    status: Mapping[str, Any] | None = READY,
    fill: Fill = id,
) -> Make:
    """Return a function that prepares a request of a user to a service that answers.

    status: of the process that seems to drive sweeps; None if there is none. fill: writes into the service's ledger.
    """

    def make(folder: Folder) -> Sequence[str]:
        folder.write("sweep.yaml", SPEC)
        home = Home(folder.path / "service").create()
        settings = ApiSettings(home=home, limits=Limits(max_waiting=MAX_WAITING), acceptance_seconds=0.0)
        port = folder.during.enter_context(_answering(create_app(settings)))
        with closing(Ledger.open(home, clock=now_ms)) as ledger:
            for name, role in ((ANN, Role.SUBMITTER), (VIC, Role.VIEWER), (ROOT, Role.ADMIN)):
                ledger.users.create(name, role)
            text = token or issue_token(ledger, user, label="test", days=1, clock=now_ms)
            if status is not None:
                process = {"id": "d1", "role": "drivers", "host": "here", "version": "0", "started_at": now_ms()}
                ledger.services.beat(ServiceProcess(**process, status=dict(status)))  # type: ignore[arg-type]
            fill(ledger)
        sign_in(folder, f"http://127.0.0.1:{port}", text)
        return arguments

    return make


def case(make: Callable[..., Make], *arguments: str, note: str = "", **options: Any) -> Case:
    """Return the case of a command with a context; note: what else is wrong, in the page's words."""
    return Case(code("meltpoint " + " ".join(arguments)) + note, make(*arguments, **options), SHOWN_PORT)


@contextmanager
def _answering(app: Any) -> Any:
    """Serve an app on this machine while entered; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def another_website(folder: Folder) -> Sequence[str]:
    port = folder.during.enter_context(_answering(HTMLResponse("<h1>Welcome</h1>")))
    sign_in(folder, f"http://127.0.0.1:{port}")
    return ["ls"]


def with_variables(make: Make, **variables: str) -> Make:
    """Return a function that prepares a command in an environment with these variables."""

    def made(folder: Folder) -> Sequence[str]:
        folder.during.enter_context(mock.patch.dict(os.environ, variables))
        return make(folder)

    return made


def with_token(text: str) -> Make:
    return with_file("token", text, "login", "http://127.0.0.1:8000", "--token-file", "token")


def with_contexts(text: str, mode: int) -> Make:
    def make(folder: Folder) -> Sequence[str]:
        folder.write(CONTEXTS_FILE, text).chmod(mode)
        return ["ls"]

    return make


def served_home(folder: Folder) -> Sequence[str]:
    home = Home(folder.path / "home").create()
    for lock in home.service_locks(has_api=True, has_drivers=True):
        folder.during.enter_context(try_lock(lock))
    home.service_file.write_text(json.dumps({"url": "http://127.0.0.1:8000", "pid": 4711}))
    return ["serve", "--home", "home"]


def taken_port(folder: Folder) -> Sequence[str]:
    taken = folder.during.enter_context(socket.create_server(("127.0.0.1", 0)))
    return ["serve", "--port", str(taken.getsockname()[1]), "--home", "home"]


def node(*arguments: str, **variables: str) -> Make:
    """Return a function that prepares `meltpoint node`, with a token and the variables."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "" if variables else RAY_TOKEN}
    return with_variables(lambda _: ["node", *arguments, "--home", "home"], **(token | variables))


def node_of_a_head(token: str, **options: Any) -> Make:
    """Return a function that prepares `meltpoint node` for a head that answers. options: of `answering_head`."""

    def make(folder: Folder) -> Sequence[str]:
        address = folder.during.enter_context(answering_head(token, **options))
        return node("--ray", address)(folder)

    return make


def taken_node_home(folder: Folder) -> Sequence[str]:
    folder.during.enter_context(try_lock(folder.path / "home" / "node.lock"))
    return node("--head")(folder)


def taken_head_port(folder: Folder) -> Sequence[str]:
    taken = folder.during.enter_context(socket.create_server(("", 0)))
    return node("--head", "--port", str(taken.getsockname()[1]))(folder)


def full_node_disk(folder: Folder) -> Sequence[str]:
    usage = mock.Mock(free=20_000_000)
    folder.during.enter_context(mock.patch("service.nodes.needs.shutil.disk_usage", return_value=usage))
    return node("--head", "--cpus", "2")(folder)


def add_submissions(ledger: Ledger, number: int = 1) -> None:
    """Write sweeps of the user `ann` that wait."""
    for index in range(number):
        with mock.patch("secrets.token_hex", return_value=f"7f3a{index:02x}"):
            ledger.sweeps.submit(
                name="cells",
                spec_text=SPEC,
                spec_file="sweep.yaml",
                metric="val/loss",
                goal=Goal.MINIMIZE,
                seed=0,
                settings={},
                owner=ANN,
            )


def limit_trials(ledger: Ledger) -> None:
    ledger.users.change(ANN, max_trials=8)


def disable(ledger: Ledger) -> None:
    ledger.users.change(ANN, disabled_at=now_ms())


SERVE = Section(
    "`meltpoint serve`",
    "Commands as typed.",
    2,
    [
        command("serve", "--port", "99999"),
        command("serve", "--role", "workers"),
        command("serve", "--host", "0.0.0.0"),
        command("serve", "--tls-cert", "cert.pem"),
        command("serve", "--tls-cert", "cert.pem", "--tls-key", "key.pem"),
        command("serve", "--ray", "10.0.0.5:6379", "--home", "home"),
        command("serve", "--join"),
        Case("`meltpoint serve`, where another one serves the home", served_home),
        Case("`meltpoint serve`, and another program has the port", taken_port, SHOWN_PORT),
    ],
)

NODE = Section(
    "`meltpoint node`",
    "Commands as typed.",
    2,
    [
        command("node"),
        command("node", "--head", "--ray", "10.0.0.5:6379"),
        command("node", "--head", "--grace", "soon"),
        Case("`meltpoint node --head`, without a token", node("--head", RAY_AUTH_TOKEN_PATH="")),
        Case("`meltpoint node --head`, and the token's file is missing", node("--head", RAY_AUTH_TOKEN_PATH="absent")),
        Case("`meltpoint node --head`, and the token's file is empty", node("--head", RAY_AUTH_TOKEN_PATH="/dev/null")),
        Case("`meltpoint node --head`, where another node has the home", taken_node_home),
    ],
)

NODE_NEEDS = Section(
    "A node that cannot start, or is not healthy",
    "Commands as typed.",
    1,
    [
        Case("`meltpoint node --check`", node("--check")),
        Case("`meltpoint node --head`, and another program has the port", taken_head_port, {r"port \d+": "port 6379"}),
        Case("`meltpoint node --head --cpus 2`, and the disk is full", full_node_disk),
        Case("`meltpoint node --head --gpus 64`", node("--head", "--gpus", "64")),
        Case("`meltpoint node --ray 127.0.0.1:6379`, and nothing is there", node("--ray", "127.0.0.1:9"), SHOWN_HEAD),
        Case("`meltpoint node --ray 127.0.0.1:6379`, with another token", node_of_a_head("b" * 64), SHOWN_HEAD),
        Case(
            "`meltpoint node --ray 127.0.0.1:6379`, and the head is older",
            node_of_a_head(RAY_TOKEN, labels={**version_labels(), "meltpoint-version": "0.0.9"}),
            SHOWN_HEAD,
        ),
    ],
)

CONTEXTS = Section(
    "Contexts and sign-in",
    "Commands as typed. `lab` is a context whose service is at http://127.0.0.1:8000.",
    2,
    [
        command("login", "ftp://sweeps.example.org"),
        command("login", "http://sweeps.example.org"),
        command("login", "http://127.0.0.1:8000", "--name", "our/lab"),
        Case("`meltpoint login http://127.0.0.1:8000 --token-file token`, an empty file", with_token("")),
        command("context", "lab"),
        case(signed_in, "context", "lba"),
        command("context", "lab", "--none"),
        Case("`meltpoint ls`, and the file of contexts is damaged", with_contexts('{"contexts": ', 0o600)),
        Case("`meltpoint ls`, and others can read the file of contexts", with_contexts("{}", 0o644)),
        Case(
            "`MELTPOINT_SERVICE=https://sweeps.example.org meltpoint ls`, without a token",
            with_variables(lambda _: ["ls"], MELTPOINT_SERVICE="https://sweeps.example.org"),
        ),
        Case('`meltpoint ls`, and `token = "mp_1a2b3c"`', with_file("meltpoint.toml", 'token = "mp_1a2b3c"\n', "ls")),
        case(signed_in, "ls", "--context", "lab", "--home", "home"),
        command("ls", "--mine", "--owner", "ann"),
        Case("`meltpoint submit sweep.yaml`, without a service", with_file("sweep.yaml", SPEC, "submit", "sweep.yaml")),
        command("queue"),
        command("user", "set", "ann"),
        command("user", "set", "ann", "--max-sweeps", "many"),
        command("user", "set", "ann", "--gpu-hours", "-1"),
        command("submit", "sweep.yaml", "--priority", "1000"),
        command("token", "create", "--days", "0"),
    ],
)

REQUESTS = Section(
    "Requests that a service refuses",
    "Commands of `ann`, a submitter, if no other user is named.",
    1,
    [
        case(signed_in, "ls", note=", and nothing answers there"),
        Case("`meltpoint ls`, and another website answers", another_website, SHOWN_PORT),
        case(asked, "ls", note=", with a token of another service", token=f"mp_1a2b3c_{'0' * 64}"),
        case(asked, "ls", note=" of a user who is disabled", fill=disable),
        case(asked, "submit", "sweep.yaml", note=", where no process drives sweeps", status=None),
        case(
            asked,
            *("submit", "sweep.yaml"),
            note=", where Ray could not be started",
            status={"state": "failed", "problem": "Ray could not be started: the disk is full"},
        ),
        case(asked, "submit", "sweep.yaml", note=" of `vic`, a viewer", user=VIC),
        case(asked, "submit", "sweep.yaml", "--priority", "5"),
        case(
            asked, "submit", "sweep.yaml", "--set", "budget.trials=9", note=", with `--max-trials 8`", fill=limit_trials
        ),
        case(
            asked,
            *("submit", "sweep.yaml"),
            note=f", where {MAX_WAITING} sweeps of `ann` wait already",
            fill=lambda ledger: add_submissions(ledger, MAX_WAITING),
        ),
        case(asked, "status", "last", note=", where `ann` has submitted nothing"),
        case(asked, "status", "fish", fill=add_submissions),
        case(asked, "user", "ls"),
        case(asked, "user", "add", "ann", note=" of an admin", user=ROOT),
        case(asked, "user", "set", "bob", "--disable", note=" of an admin", user=ROOT),
        case(asked, "token", "create", "--user", "root"),
        case(asked, "token", "revoke", "1a2b3c"),
    ],
)

REFUSED_INPUT = Section(
    "Wrong input to a service",
    "As above.",
    2,
    [
        case(asked, "submit", "sweep.yaml", "--set", "budget.trils=9"),
        case(asked, "submit", "sweep.yaml", "--set", "data.source=my_photos:load"),
        case(asked, "rm", "last", "--yes", note=", which waits", fill=add_submissions),
        case(asked, "user", "set", "root", "--disable", note=" of that admin", user=ROOT),
        case(
            asked, "token", "create", "--user", "ann", note=" of an admin; `ann` is disabled", user=ROOT, fill=disable
        ),
        case(
            asked,
            *("resume", "last"),
            note=" of an admin, for a sweep of `meltpoint run`",
            user=ROOT,
            fill=lambda ledger: add_sweeps(ledger, "7f3a9c"),
        ),
    ],
)
