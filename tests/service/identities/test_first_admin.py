"""The token of the first admin is made once, shown once, and kept where only the home's owner can read it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.identities import Role, authenticate, ensure_admin, issue_token
from service.ledgers import Ledger
from service.settings import Home

NOW = 1_000_000
YEAR = 365 * 24 * 3600 * 1000


def clock() -> int:
    return NOW


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    with closing(Ledger.open(home, clock=clock)) as ledger:
        yield ledger


def token_id(ledger: Ledger) -> str:
    return ledger.tokens.list("admin")[0].id


def test_the_first_start_makes_an_admin_whose_token_lies_in_the_home(ledger: Ledger, home: Home) -> None:
    token = ensure_admin(ledger, home, clock)
    assert token is not None
    identity = authenticate(ledger, token, clock)
    assert (identity.user, identity.role) == ("admin", Role.ADMIN)
    assert home.admin_token.read_text() == token
    assert stat.S_IMODE(home.admin_token.stat().st_mode) == 0o600
    assert [path.name for path in home.root.iterdir() if path.name.startswith(".")] == []


def test_later_starts_show_no_token_and_leave_the_file_alone(ledger: Ledger, home: Home) -> None:
    token = ensure_admin(ledger, home, clock)
    assert ensure_admin(ledger, home, clock) is None
    assert home.admin_token.read_text() == token
    home.admin_token.unlink()
    assert ensure_admin(ledger, home, clock) is None, "the token in somebody's hands is enough"
    assert len(ledger.tokens.list()) == 1


def test_an_older_file_that_others_could_read_is_replaced(ledger: Ledger, home: Home) -> None:
    home.admin_token.write_text("old")
    home.admin_token.chmod(0o644)
    token = ensure_admin(ledger, home, clock)
    assert home.admin_token.read_text() == token
    assert stat.S_IMODE(home.admin_token.stat().st_mode) == 0o600


def test_a_start_makes_a_new_token_once_no_admin_has_one_that_works(ledger: Ledger, home: Home) -> None:
    first = ensure_admin(ledger, home, clock)
    assert ensure_admin(ledger, home, lambda: NOW + YEAR - 1) is None
    assert ensure_admin(ledger, home, lambda: NOW + YEAR) not in (None, first)
    for token in ledger.tokens.list():
        ledger.tokens.revoke(token.id)
    assert ensure_admin(ledger, home, clock) is not None


def test_a_start_that_ended_between_user_and_token_is_made_good_by_the_next(ledger: Ledger, home: Home) -> None:
    ledger.users.create("admin", Role.ADMIN)
    assert ensure_admin(ledger, home, clock) is not None


def test_a_token_of_any_admin_is_enough_but_not_one_with_a_lower_role(ledger: Ledger, home: Home) -> None:
    ledger.users.create("ada", Role.ADMIN)
    issue_token(ledger, "ada", label="read", days=1, role=Role.VIEWER, clock=clock)
    assert ensure_admin(ledger, home, clock) is not None
    ledger.tokens.revoke(token_id(ledger))
    issue_token(ledger, "ada", label="all", days=1, clock=clock)
    assert ensure_admin(ledger, home, clock) is None


@pytest.mark.parametrize("change", [{"disabled_at": 1}, {"role": Role.VIEWER}])
def test_an_admin_whom_others_disabled_or_demoted_is_not_brought_back(
    ledger: Ledger, home: Home, change: dict[str, object]
) -> None:
    ensure_admin(ledger, home, clock)
    home.admin_token.unlink()
    ledger.users.change("admin", **change)
    assert ensure_admin(ledger, home, clock) is None
    assert not home.admin_token.exists()
