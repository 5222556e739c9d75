"""The options of `meltpoint serve`, checked against each other before anything starts."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from service.errors import UsageError

__all__ = ["ServeOptions", "ServiceRole", "is_loopback"]


class ServiceRole(StrEnum):
    """The part of the service that a process runs."""

    ALL = "all"
    API = "api"
    DRIVERS = "drivers"

    @property
    def has_api(self) -> bool:
        """Return whether requests are answered."""
        return self is not ServiceRole.DRIVERS

    @property
    def has_drivers(self) -> bool:
        """Return whether sweeps are driven."""
        return self is not ServiceRole.API


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """The options, as they were typed.

    ledger_url: of the ledger that is used. join: whether this machine becomes a node of the cluster without cores.
    max_sweeps: driven at once, if typed.
    """

    role: ServiceRole
    host: str
    port: int
    ledger_url: str
    ray: str | None = None
    join: bool = False
    max_sweeps: int | None = None
    behind_proxy: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def check(self) -> None:
        """Check that the options go together.

        Raises:
            UsageError: they do not; the message names the options and what helps.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError("--tls-cert and --tls-key: give both, or neither")
        if self.role.has_api and not (is_loopback(self.host) or self.has_tls or self.behind_proxy):
            raise UsageError(
                f"--host {self.host}: tokens would cross the network in plain text; give --tls-cert and --tls-key, or "
                "--behind-proxy if a proxy in front of it speaks TLS"
            )
        if self.join and (self.ray is None or not self.role.has_drivers):
            raise UsageError(
                "--join: this machine becomes a node for its drivers; give --ray HOST:PORT, and not --role api"
            )
        if self.ray is not None and self.ledger_url.startswith("sqlite"):
            raise UsageError(
                "--ray: needs a ledger in PostgreSQL, which other machines can reach; this one is SQLite, in a file of "
                "this machine. Give --ledger postgresql+psycopg://USER@HOST/NAME"
            )
        if self.has_tls:
            self._check_certificate()

    @property
    def has_tls(self) -> bool:
        """Return whether the service itself speaks TLS."""
        return self.tls_cert is not None and self.tls_key is not None

    def url(self, port: int) -> str:
        """Return the address that people on this machine type."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host
        bracketed = f"[{host}]" if ":" in host else host
        return f"{'https' if self.has_tls else 'http'}://{bracketed}:{port}"

    def _check_certificate(self) -> None:
        assert self.tls_cert is not None
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.tls_cert, self.tls_key)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or str(error)
            raise UsageError(f"--tls-cert {self.tls_cert}, --tls-key {self.tls_key}: {reason}") from None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine's loopback interface."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
