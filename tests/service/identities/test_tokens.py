"""Tokens: shown once, kept as a hash, refused once they expire or are revoked. Tests move the clock; none sleeps."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import UnauthenticatedError, UserNotFoundError
from service.identities import Identity, Role, authenticate, identify_token, issue_token
from service.ledgers import Ledger

DAY = 24 * 3600 * 1000
SECRET_SCANNER = re.compile(r"\bmp_[0-9a-f]{16}_[0-9a-f]{64}\b")


class Clock:
    """Milliseconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock, tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger.open_file(tmp_path / "ledger.db", clock=clock)) as ledger:
        ledger.users.create("ada", Role.SUBMITTER, own_code=True)
        yield ledger


@pytest.fixture
def token(ledger: Ledger, clock: Clock) -> str:
    return issue_token(ledger, "ada", label="laptop", days=1, clock=clock)


def id_of(token: str) -> str:
    return token.split("_")[1]


def sign_ins(ledger: Ledger, token: str, clock: Clock) -> list[Callable[[], Identity]]:
    """Return the two ways to sign in: with the token, and with a session that began with it."""
    return [partial(authenticate, ledger, token, clock), partial(identify_token, ledger, id_of(token), clock)]


def test_a_token_signs_its_user_in(ledger: Ledger, token: str, clock: Clock) -> None:
    identity = authenticate(ledger, token, clock)
    assert (identity.user, identity.role, identity.own_code) == ("ada", Role.SUBMITTER, True)
    assert identity.token_id == id_of(token)
    assert identify_token(ledger, identity.token_id, clock) == identity


def test_a_scanner_for_secrets_finds_a_token_in_a_text(token: str) -> None:
    assert SECRET_SCANNER.findall(f'export TOKEN="{token}"  # mine') == [token]


def test_tokens_have_256_random_bits_each(ledger: Ledger, clock: Clock) -> None:
    secrets = {issue_token(ledger, "ada", label="x", days=1, clock=clock).split("_")[2] for _ in range(50)}
    assert len(secrets) == 50
    assert {len(secret) for secret in secrets} == {64}


def test_the_ledger_has_only_the_hash_of_a_token(ledger: Ledger, token: str, tmp_path: Path) -> None:
    (stored,) = ledger.tokens.list("ada")
    assert stored.digest == hashlib.sha256(token.encode()).hexdigest()
    ledger.backup(tmp_path / "backup.zip")
    secret = token.split("_")[2].encode()
    for file in tmp_path.iterdir():
        assert secret not in file.read_bytes(), file


def test_a_token_is_good_until_the_moment_at_which_it_expires(ledger: Ledger, token: str, clock: Clock) -> None:
    clock.now += DAY - 1
    authenticate(ledger, token, clock)
    clock.now += 1
    for sign_in in sign_ins(ledger, token, clock):
        with pytest.raises(UnauthenticatedError, match="this token expired at 1970-01-02 00:16 UTC"):
            sign_in()


def test_a_revoked_token_is_refused_at_once(ledger: Ledger, token: str, clock: Clock) -> None:
    ledger.tokens.revoke(id_of(token))
    for sign_in in sign_ins(ledger, token, clock):
        with pytest.raises(UnauthenticatedError, match="this token was revoked"):
            sign_in()


def test_the_tokens_of_a_disabled_user_are_refused_until_the_user_is_enabled(
    ledger: Ledger, token: str, clock: Clock
) -> None:
    ledger.users.change("ada", disabled_at=clock.now)
    for sign_in in sign_ins(ledger, token, clock):
        with pytest.raises(UnauthenticatedError, match="the user ada is disabled"):
            sign_in()
    ledger.users.change("ada", disabled_at=None)
    assert authenticate(ledger, token, clock).user == "ada"


def test_nobody_learns_of_a_token_without_its_secret(ledger: Ledger, token: str, clock: Clock) -> None:
    """Say the same of an unknown token, and of a revoked one with a wrong secret."""
    ledger.tokens.revoke(id_of(token))
    for text in (f"mp_{id_of(token)}_{'0' * 64}", f"mp_{'0' * 16}_{'0' * 64}"):
        with pytest.raises(UnauthenticatedError, match=r"^this token is unknown here$"):
            authenticate(ledger, text, clock)
    with pytest.raises(UnauthenticatedError, match="the token of this session is unknown here"):
        identify_token(ledger, "0" * 16, clock)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_no_other_text_than_the_token_signs_in(ledger: Ledger, token: str, clock: Clock, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(token)))
    put = data.draw(st.one_of(st.text(max_size=3), st.text(string.hexdigits + "mp_\n ", max_size=3)))
    removed = data.draw(st.integers(0, 3))
    text = token[:position] + put + token[position + removed :]
    if text == token:
        assert authenticate(ledger, text, clock).user == "ada"
        return
    with pytest.raises(UnauthenticatedError, match="unknown here"):
        authenticate(ledger, text, clock)


@given(text=st.text())
def test_any_text_is_answered_with_the_same_refusal(text: str) -> None:
    with closing(Ledger("sqlite://", clock=int)) as ledger, pytest.raises(UnauthenticatedError, match="unknown here"):
        authenticate(ledger, text, int)


@pytest.mark.parametrize("cap", [None, *Role])
@pytest.mark.parametrize("role", list(Role))
def test_a_token_never_gives_more_than_its_cap_or_than_its_user_has(
    ledger: Ledger, clock: Clock, role: Role, cap: Role | None
) -> None:
    ledger.users.create("bob", role)
    token = issue_token(ledger, "bob", label="ci", days=1, role=cap, clock=clock)
    assert authenticate(ledger, token, clock).role is role.capped(cap or role)
    for later in Role:
        ledger.users.change("bob", role=later)
        given_now = authenticate(ledger, token, clock).role
        assert later.includes(given_now)
        assert role.includes(given_now), "a later promotion does not widen an older token"
        assert cap is None or cap.includes(given_now)


def test_the_use_of_a_token_is_noted(ledger: Ledger, token: str, clock: Clock) -> None:
    authenticate(ledger, token, clock)
    assert ledger.tokens.list("ada")[0].last_used_at == clock.now


def test_a_token_needs_a_user(ledger: Ledger, clock: Clock) -> None:
    with pytest.raises(UserNotFoundError, match="no user eve"):
        issue_token(ledger, "eve", label="x", days=1, clock=clock)
