"""A service that other machines reach: with TLS of its own, and behind a proxy that speaks TLS."""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.clients import Connection
from service.clients.remote_sweeps import RemoteSweeps
from service.clocks import now_ms
from service.errors import UnavailableError
from service.ledgers import EventKind, Ledger, SweepState
from service.settings import Context, Home
from tests.service.api.doors import Recorder, running
from tests.service.commands.services import RunningService, serving
from tests.service.commands.test_service_commands import Shell
from tests.service.sweeps.sweeps import SPEC

pytestmark = pytest.mark.slow

API = ("--role", "api", "--port", "0")
ELSEWHERE = "203.0.113.7"


@pytest.fixture(scope="module")
def mlflow() -> Iterator[tuple[str, Recorder]]:
    """A server in place of MLflow's."""
    recorder = Recorder()
    with running(recorder.app()) as url:
        yield url, recorder


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of this machine, with its key beside it."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(secret)
    return folder / "cert.pem"


@pytest.fixture(scope="module")
def encrypted(
    certificate: Path, mlflow: tuple[str, Recorder], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    key = certificate.with_name("key.pem")
    tls = ("--tls-cert", str(certificate), "--tls-key", str(key), "--mlflow", mlflow[0])
    with serving(tmp_path_factory.mktemp("encrypted") / "home", *API, *tls) as service:
        yield service


def test_another_host_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with serving(tmp_path / "home", *API, "--host", "0.0.0.0") as service:
        assert service.process.wait(30) == 2
        assert "give --tls-cert and --tls-key, or --behind-proxy" in " ".join(service.lines)
    assert not (tmp_path / "home").exists()


def test_links_are_encrypted_and_the_cookie_stays_so(encrypted: RunningService, certificate: Path) -> None:
    assert encrypted.url.startswith("https://127.0.0.1:")
    printed = " ".join(encrypted.lines)
    assert f"meltpoint login {encrypted.url}" in printed
    assert f"{encrypted.url}/mlflow/" in printed
    assert "http://" not in printed
    with httpx2.Client(base_url=encrypted.url, verify=_trust(certificate), trust_env=False) as browser:
        answer = browser.post("/session", data={"token": encrypted.token})
        assert "; Secure" in answer.headers["set-cookie"]
        assert browser.get("/mlflow/", headers={"accept": "text/html"}).status_code == 200


def test_commands_need_the_authoritys_file_and_say_so_at_once(
    encrypted: RunningService, certificate: Path, tmp_path: Path
) -> None:
    shell = Shell(tmp_path / "shell")
    began = time.monotonic()
    refused = shell.run("login", encrypted.url, stdin=encrypted.token)
    assert time.monotonic() - began < 10
    assert refused.returncode == 1
    assert "is not trusted here: self-signed certificate; name the file of the authority" in refused.stderr
    shell.env["SSL_CERT_FILE"] = str(tmp_path / "absent.pem")
    assert f"SSL_CERT_FILE {tmp_path}/absent.pem: No such file" in shell.run("login", encrypted.url, stdin="t").stderr
    shell.env["SSL_CERT_FILE"] = str(certificate)
    assert "as admin (admin)" in shell.run("login", encrypted.url, "--name", "lab", stdin=encrypted.token).stderr
    assert f"on lab ({encrypted.url})" in shell.run("ls").stderr


def test_headers_of_a_proxy_count_only_behind_one(encrypted: RunningService, certificate: Path) -> None:
    headers = {"Authorization": f"Bearer {encrypted.token}", "X-Forwarded-For": ELSEWHERE}
    with httpx2.Client(base_url=encrypted.url, verify=_trust(certificate), headers=headers, trust_env=False) as client:
        client.post("/api/v1/login")
        assert client.get("/api/v1/audit").json()["items"][0]["address"] == "127.0.0.1"


@contextmanager
def proxied(upstream: str) -> Iterator[str]:
    """Run a proxy that seems to speak TLS, and passes on each piece of an answer as it comes; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = dict(self.headers.items()) | {"X-Forwarded-For": ELSEWHERE, "X-Forwarded-Proto": "https"}
            connection = http.client.HTTPConnection(upstream, timeout=30)
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.end_headers()
            while piece := answer.read1():
                self.wfile.write(piece)
            connection.close()

        do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - names that the library calls

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def behind(mlflow: tuple[str, Recorder], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Context]]:
    """A service behind a proxy, by the proxy's address."""
    home = Home(tmp_path_factory.mktemp("behind") / "home")
    with (
        serving(home.root, *API, "--behind-proxy", "--mlflow", mlflow[0]) as service,
        proxied(service.url.removeprefix("http://")) as url,
    ):
        yield home, Context(name="proxied", url=url, token=service.token)


@pytest.fixture
def client(behind: tuple[Home, Context]) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {behind[1].token}"}
    with httpx2.Client(base_url=behind[1].url, headers=headers, trust_env=False, timeout=20) as client:
        yield client


def test_the_proxys_headers_tell_from_where_and_that_the_way_is_encrypted(client: httpx2.Client) -> None:
    client.post("/api/v1/login")
    assert client.get("/api/v1/audit").json()["items"][0]["address"] == ELSEWHERE
    token = client.headers["Authorization"].removeprefix("Bearer ")
    assert "; Secure" in client.post("/session", data={"token": token}).headers["set-cookie"]


def test_mlflow_is_reached_through_the_proxy(client: httpx2.Client, mlflow: tuple[str, Recorder]) -> None:
    assert client.get("/mlflow/version").json()["path"] == "/version"
    assert "authorization" not in mlflow[1].headers[-1]
    assert client.get("/mlflow", follow_redirects=False).headers["location"] == "/mlflow/"


def test_events_arrive_through_the_proxy_as_they_happen_and_links_lead_to_it(behind: tuple[Home, Context]) -> None:
    home, context = behind
    with closing(Ledger.open(home, clock=now_ms)) as ledger, RemoteSweeps(Connection(context)) as sweeps:
        sweep = add_running_sweep(ledger, home)
        events = sweeps.events(sweep, follow=True)
        while next(events).payload.get("state") != "running":
            pass
        for text in ("one", "two"):
            ledger.events.add(sweep, EventKind.NOTICE, {"text": text})
            began = time.monotonic()
            assert next(events).payload == {"text": text}
            assert time.monotonic() - began < 2.0
        linked = sweeps.find(sweep).mlflow
        assert linked is not None
        assert linked["tracking_uri"] == f"{context.url}/mlflow"
        ledger.sweeps.move(sweep, SweepState.FAILED, error="enough")


def test_a_plain_client_of_an_encrypted_service_gets_no_answer(encrypted: RunningService) -> None:
    context = Context(name="plain", url=encrypted.url.replace("https", "http"), token=encrypted.token)
    with Connection(context, patience=0.5) as connection, pytest.raises(UnavailableError, match="does not answer"):
        connection.get("/whoami")


def add_running_sweep(ledger: Ledger, home: Home) -> str:
    """Add a sweep that seems to run, whose run is in the service's MLflow; return its id."""
    from search_spaces import Goal

    sweep, _ = ledger.sweeps.submit(
        name="cells",
        spec_text=SPEC,
        spec_file="sweep.yaml",
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        seed=0,
        settings={},
        owner="admin",
    )
    ledger.sweeps.note(sweep.id, mlflow={"tracking_uri": home.local_tracking_uri, "experiment_id": "1", "run_id": "r"})
    for state in (SweepState.QUEUED, SweepState.RUNNING):
        ledger.sweeps.move(sweep.id, state)
    return sweep.id


def _trust(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))
