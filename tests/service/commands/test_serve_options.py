"""Options of `serve` that do not go together are refused before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.commands.services.options import ServeOptions, ServiceRole, is_loopback
from service.errors import UsageError

POSTGRESQL = "postgresql+psycopg://user@host/meltpoint"


def options(**changes: Any) -> ServeOptions:
    defaults: dict[str, Any] = {
        "role": ServiceRole.ALL,
        "host": "127.0.0.1",
        "port": 8000,
        "ledger_url": "sqlite:////home/ledger.db",
    }
    return ServeOptions(**defaults | changes)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    assert is_loopback(host)
    options(host=host).check()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_another_host_needs_tls_or_a_proxy(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(UsageError, match="give --tls-cert and --tls-key, or --behind-proxy"):
        options(host=host).check()
    options(host=host, behind_proxy=True).check()
    options(host=host, role=ServiceRole.DRIVERS).check()


def test_a_certificate_needs_its_key_and_both_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give both, or neither"):
        options(tls_cert=tmp_path / "cert.pem").check()
    with pytest.raises(UsageError, match=r"cert\.pem, --tls-key .*key\.pem: No such file"):
        options(tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem").check()
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("not a certificate")
    with pytest.raises(UsageError, match="--tls-cert"):
        options(host="0.0.0.0", tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem").check()


def test_a_cluster_needs_a_ledger_that_other_machines_reach() -> None:
    with pytest.raises(UsageError, match="--ray: needs a ledger in PostgreSQL"):
        options(ray="10.0.0.1:6379").check()
    options(ray="10.0.0.1:6379", ledger_url=POSTGRESQL).check()


def test_the_address_that_people_type() -> None:
    assert options().url(8000) == "http://127.0.0.1:8000"
    assert options(host="0.0.0.0", behind_proxy=True).url(80) == "http://127.0.0.1:80"
    assert options(host="::1").url(1) == "http://[::1]:1"
