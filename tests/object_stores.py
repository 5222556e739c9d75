"""A real server of S3's protocol on this machine for tests; the conftest.py of a folder imports the fixtures."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

__all__ = ["bucket", "s3_variables"]


@pytest.fixture(scope="session")
def s3_variables() -> Iterator[dict[str, str]]:
    """Start moto's server of S3; give the variables by which the driver of s3:// finds it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "tester",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.stop()


@pytest.fixture
def bucket(s3_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a new bucket, which this process and those that it starts reach."""
    import fsspec

    for name, value in s3_variables.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{secrets.token_hex(4)}"
    fsspec.filesystem("s3").mkdir(name)
    return f"s3://{name}"
