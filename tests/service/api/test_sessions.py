"""A session's cookie is signed, expires, and carries no secret."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from service.api.sessions import SessionKey
from service.settings import Home


def test_a_cookie_gives_the_id_of_its_token_until_it_expires(tmp_path: Path) -> None:
    key = SessionKey.from_home(Home(tmp_path))
    value = key.sign("abc123", 5_000)
    assert key.read(value, 4_999) == "abc123"
    assert key.read(value, 5_000) is None


@pytest.mark.parametrize("change", ["", "x", "0.", "1.abc124", "é"])
def test_a_value_that_was_not_signed_here_is_refused(tmp_path: Path, change: str) -> None:
    key = SessionKey.from_home(Home(tmp_path))
    value = key.sign("abc123", 5_000)
    assert key.read(change + value[len(change) :] if change else value[:-1], 0) is None
    later = value.replace(".5000.", ".9000.")
    assert key.read(later, 0) is None
    assert SessionKey(b"another key").read(value, 0) is None


def test_the_key_stays_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    value = SessionKey.from_home(home).sign("abc123", 5_000)
    assert SessionKey.from_home(home).read(value, 0) == "abc123"
    assert stat.S_IMODE(home.session_key.stat().st_mode) == 0o600
