"""A proxy before MLflow's server that loses answers, refuses requests or is slow, like a bad network or busy server."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class Faults:
    """The fault of each request, by the request's number from 1; the other requests pass."""

    def __init__(self, *, lost_every: int = 0, error_every: int = 0, busy_every: int = 0, slow_every: int = 0) -> None:
        self._lost, self._error, self._busy, self._slow = lost_every, error_every, busy_every, slow_every
        self._numbers = count(1)
        self._lock = threading.Lock()
        self.suffered = 0

    def next(self) -> str:
        """Return the next request's fate: `lost` (answer dropped), `error` (500), `busy` (429), `slow` or `fine`."""
        with self._lock:
            number = next(self._numbers)
            kinds = (("lost", self._lost), ("error", self._error), ("busy", self._busy), ("slow", self._slow))
            kind = next((name for name, every in kinds if every and number % every == 0), "fine")
            self.suffered += kind != "fine"
            return kind


@contextmanager
def flaky(upstream: str, faults: Faults, *, slow_seconds: float) -> Iterator[str]:
    """Run a proxy before `upstream` (host:port) while entered; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on()

        do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - names that the library calls

        def log_message(self, *_: object) -> None:
            """Print nothing."""

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = faults.next()
            if kind in ("error", "busy"):
                self._answer(500 if kind == "error" else 429, [], b"{}")
                return
            if kind == "slow":
                time.sleep(slow_seconds)
            connection = http.client.HTTPConnection(upstream, timeout=30)
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")
            }
            connection.request(self.command, self.path, body=body, headers=headers | {"Host": upstream})
            answer = connection.getresponse()
            content = answer.read()
            if kind == "lost":
                self.close_connection = True
                self.connection.close()
            else:
                self._answer(answer.status, answer.getheaders(), content)
            connection.close()

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content)
            except OSError:
                self.close_connection = True  # the client gave up

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
