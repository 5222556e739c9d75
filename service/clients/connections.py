"""A connection to a service: requests with a token, tried again while the service restarts; errors as our classes."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, Self

import httpx2

from service.clients.problems import GATEWAY_STATUSES, error_from
from service.errors import ServiceError, TooLargeError, UnauthenticatedError, UnavailableError, UsageError
from service.settings import MAX_BODY_BYTES, Context

__all__ = ["Connection", "client_version"]

PATIENCE_SECONDS: Final = 20.0
"""Time for which a request that may be repeated is tried again, such as while a service restarts."""

START_PATIENCE_SECONDS: Final = 120.0
"""Time for which a request is tried again while the service says that it starts."""

_API: Final = "/api/v1"
_PAUSES: Final = (0.1, 0.2, 0.4, 0.8, 1.5)
"""Seconds between tries; the last is used again and again."""
_NOTICE_SECONDS: Final = 1.0
_SAFE: Final = frozenset({"GET", "HEAD"})
_NOT_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class Connection:
    """Sends requests to one service, with the token of a context.

    A request that did not reach the service is tried again, whatever it asks for. A request whose answer was lost is
    tried again only if it changes nothing or carries an Idempotency-Key.

    Ownership: `close` closes the connections. Thread safety: any thread may call.

    Args:
        context: the service and the token.
        notice: takes a sentence for the user, such as that the service does not answer yet.
        transport: replaces the network, for tests.
        patience: seconds for which a request is tried again.
        timeout: seconds without a sign of an answer after which a request has failed.
        clock: returns monotonic seconds.
        sleep: waits some seconds.

    Raises:
        UnauthenticatedError: the token cannot be one, and is not sent.
    """

    def __init__(
        self,
        context: Context,
        *,
        notice: Callable[[str], None] = lambda _text: None,
        transport: httpx2.BaseTransport | None = None,
        patience: float = PATIENCE_SECONDS,
        timeout: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not context.token.isascii() or not context.token.isprintable() or " " in context.token:
            raise UnauthenticatedError(
                f"the token for {context.title} must be one word, such as mp_1a2b3c_...; {context.way_to_renew}"
            )
        self.context = context
        self._notice, self._patience, self._clock, self._sleep = notice, patience, clock, sleep
        self._has_compared_versions = False
        self._client = httpx2.Client(
            base_url=context.url,
            headers={
                "Authorization": f"Bearer {context.token}",
                "Meltpoint-Client": client_version(),
                "Accept": "application/json, application/problem+json",
            },
            timeout=httpx2.Timeout(timeout, connect=min(5.0, timeout)),
            verify=_ssl_context() if context.is_encrypted else False,
            trust_env=not context.is_loopback,
            transport=transport,
        )

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of a GET; parameters that are None are left out."""
        return self._json_of(self._request("GET", path, query=query))

    def get_text(self, path: str) -> str:
        """Return the text of a GET."""
        return self._request("GET", path, headers={"Accept": "text/plain, application/problem+json"}).text

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """Return the JSON of a POST; key: its Idempotency-Key, with which it may be sent again."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self._json_of(self._request("POST", path, body=body, headers=headers, may_repeat=key is not None))

    def patch(self, path: str, body: Any) -> Any:
        """Return the JSON of a PATCH, which may be repeated: it sets values."""
        return self._json_of(self._request("PATCH", path, body=body, may_repeat=True))

    def delete(self, path: str) -> Any:
        """Return the JSON of a DELETE; None if it has none."""
        return self._json_of(self._request("DELETE", path))

    @contextmanager
    def stream(self, path: str, *, headers: Mapping[str, str], **query: Any) -> Iterator[httpx2.Response]:
        """Open a GET whose answer is read piece by piece; it is not tried again.

        Raises:
            MeltpointError: the service refuses the request.
            httpx2.TransportError: the connection cannot be made or breaks.
        """
        parameters = {name: value for name, value in query.items() if value is not None}
        with self._client.stream("GET", _API + path, params=parameters, headers=headers) as response:
            self._compare_versions(response)
            if not response.is_success:
                response.read()
                raise error_from(response, self.context)
            yield response

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def unreachable(self, error: Exception) -> UnavailableError:
        """Return the error for a service that does not answer."""
        return UnavailableError(f"{self.context.title} does not answer: {_reason(error)}")

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        may_repeat: bool = False,
    ) -> httpx2.Response:
        """Send a request, again if need be, and return an answer that is no error.

        Raises:
            MeltpointError: the service refuses the request, does not answer, or the body is too large to be sent.
        """
        parameters = {name: value for name, value in (query or {}).items() if value is not None}
        request = self._client.build_request(
            method, _API + path, params=parameters, json=body, headers=dict(headers or {})
        )
        size = int(request.headers.get("Content-Length", 0))
        if size > MAX_BODY_BYTES:
            raise TooLargeError(f"the request must be at most {MAX_BODY_BYTES} bytes ({size})")
        retries = _Retries(self._patience, self._clock, self._sleep, self._notice, self.context)
        while True:
            try:
                response = self._client.send(request)
            except _NOT_SENT as error:
                _raise_if_not_trusted(error, self.context)
                if not retries.wait(_reason(error)):
                    raise self.unreachable(error) from None
                continue
            except httpx2.TransportError as error:
                if not may_repeat and method not in _SAFE:
                    raise ServiceError(
                        f"the connection to {self.context} broke before the answer came ({_reason(error)}); "
                        "the request may have been carried out: look with `meltpoint status` before you repeat it"
                    ) from None
                if not retries.wait(_reason(error)):
                    raise self.unreachable(error) from None
                continue
            self._compare_versions(response)
            if response.is_success:
                return response
            waits = retries.wait_for_start if _is_starting(response) else retries.wait
            if not _is_restarting(response) or not waits(f"it answers {response.status_code}"):
                raise error_from(response, self.context)

    def _json_of(self, response: httpx2.Response) -> Any:
        """Return the JSON of an answer; None if it is empty. Raises ServiceError if it is something else."""
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise ServiceError(
                f"{response.url} answers without JSON; is {self.context.url} a Meltpoint service?"
            ) from None

    def _compare_versions(self, response: httpx2.Response) -> None:
        """Say once that the service has another version than this client."""
        theirs, ours = response.headers.get("Meltpoint-Version"), client_version()
        if self._has_compared_versions or theirs is None:
            return
        self._has_compared_versions = True
        if theirs.split(".")[:2] != ours.split(".")[:2]:
            self._notice(f"{self.context.title} has version {theirs}, this client {ours}")


class _Retries:
    """Waits between tries of one request, and says so once it lasts."""

    def __init__(
        self,
        patience: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        notice: Callable[[str], None],
        context: Context,
    ) -> None:
        self._patience, self._clock, self._sleep, self._notice = patience, clock, sleep, notice
        self._context = context
        self._began = clock()
        self._tries = 0
        self._has_said = False

    def wait_for_start(self, _reason: str) -> bool:
        """Wait until the next try of a service that starts, which takes longer on a busy machine."""
        self._patience = max(self._patience, START_PATIENCE_SECONDS)
        return self._wait(f"{self._context} is starting; trying for {self._patience:.0f} s")

    def wait(self, reason: str) -> bool:
        """Wait until the next try; returns False at once if the patience is over."""
        return self._wait(f"{self._context} does not answer ({reason}); trying for {self._patience:.0f} s")

    def _wait(self, notice: str) -> bool:
        pause = _PAUSES[min(self._tries, len(_PAUSES) - 1)]
        self._tries += 1
        waited = self._clock() - self._began
        if waited + pause > self._patience:
            return False
        if not self._has_said and waited >= _NOTICE_SECONDS:
            self._has_said = True
            self._notice(notice)
        self._sleep(pause)
        return True


def _ssl_context() -> ssl.SSLContext | bool:
    """Return how certificates are checked: by SSL_CERT_FILE or SSL_CERT_DIR if set, also for a service on loopback.

    Loading the certificates takes 20 to 80 ms, which a plain connection need not pay.

    Raises:
        UsageError: SSL_CERT_FILE holds no certificate.
    """
    try:
        return httpx2.create_ssl_context()
    except OSError as error:  # ssl.SSLError is one
        file = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
        raise UsageError(f"SSL_CERT_FILE {file}: {error.strerror or error}") from None


def _raise_if_not_trusted(error: Exception, context: Context) -> None:
    """Raise UnavailableError if the service's certificate is not trusted: no other try would change that."""
    reason = _reason(error)
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        cause = reason.partition("certificate verify failed: ")[2].partition(" (_ssl.c")[0]
        raise UnavailableError(
            f"the certificate of {context} is not trusted here: {cause or reason}; "
            "name the file of the authority that signed it in the variable SSL_CERT_FILE"
        ) from None


@cache
def client_version() -> str:
    """Return the version of this client."""
    from importlib.metadata import version

    return version("meltpoint")


def _is_starting(response: httpx2.Response) -> bool:
    """Return whether the service itself says that it starts."""
    return _is_restarting(response) and "problem+json" in response.headers.get("Content-Type", "")


def _is_restarting(response: httpx2.Response) -> bool:
    """Return whether the answer is that of a proxy without its service, or of a service that starts."""
    if response.status_code not in GATEWAY_STATUSES:
        return False
    return "problem+json" not in response.headers.get("Content-Type", "") or "Retry-After" in response.headers


def _reason(error: Exception) -> str:
    """Return the end of a network error's chain, which says what happened."""
    cause: BaseException = error
    while cause.__cause__ is not None or cause.__context__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
    text = getattr(cause, "strerror", None) or str(cause) or str(error)
    return text or type(error).__name__
