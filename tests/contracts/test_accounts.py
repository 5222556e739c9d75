"""Users, tokens, the audit log and the service's processes in the ledger, over each backend."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from service.errors import BackupError, ConflictError, TokenNotFoundError, UserNotFoundError
from service.ledgers import Ledger, Role, ServiceProcess, Token, User
from tests.contracts.ledgers import Ticks, new_sweep


def add_token(ledger: Ledger, user: str = "ada", number: int = 0) -> Token:
    token = Token(
        id=f"id-{number}",
        user=user,
        digest=f"{number:064x}",
        label="laptop",
        role=Role.SUBMITTER,
        created_at=number,
        expires_at=9_000,
    )
    ledger.tokens.add(token)
    return token


def test_a_user_has_no_limits_unless_they_are_given(ledger: Ledger) -> None:
    user = ledger.users.create("ada", Role.SUBMITTER)
    assert user == User(name="ada", role=Role.SUBMITTER, created_at=user.created_at)
    limited = ledger.users.create("bob", Role.VIEWER, weight=2.0, max_slots=3, gpu_hours=0.5, own_code=True)
    assert ledger.users.get("bob") == limited
    assert (limited.weight, limited.max_slots, limited.gpu_hours, limited.own_code) == (2.0, 3, 0.5, True)


def test_a_name_belongs_to_one_user(ledger: Ledger) -> None:
    ledger.users.create("ada", Role.SUBMITTER)
    with pytest.raises(ConflictError, match="there is a user ada already"):
        ledger.users.create("ada", Role.ADMIN)
    assert ledger.users.get("ada").role is Role.SUBMITTER


def test_users_are_listed_by_name_in_pages(ledger: Ledger) -> None:
    for name in ("cleo", "ada", "bob"):
        ledger.users.create(name, Role.SUBMITTER)
    assert [user.name for user in ledger.users.list(limit=2)] == ["ada", "bob"]
    assert [user.name for user in ledger.users.list(after="bob")] == ["cleo"]


def test_a_user_changes_and_others_stay(ledger: Ledger) -> None:
    ledger.users.create("ada", Role.SUBMITTER, max_slots=3)
    bob = ledger.users.create("bob", Role.SUBMITTER)
    changed = ledger.users.change("ada", role=Role.ADMIN, max_slots=None, disabled_at=7)
    assert (changed.role, changed.max_slots, changed.disabled_at) == (Role.ADMIN, None, 7)
    assert ledger.users.get("ada") == changed
    assert ledger.users.get("bob") == bob


def test_every_method_refuses_an_unknown_user(ledger: Ledger) -> None:
    calls: list[Callable[[], object]] = [
        lambda: ledger.users.get("eve"),
        lambda: ledger.users.change("eve", weight=1.0),
        lambda: ledger.users.change("eve"),
        lambda: ledger.users.reserve_gpu("eve", 1.0),
        lambda: ledger.users.settle_gpu("eve", 1.0, 1.0),
    ]
    for call in calls:
        with pytest.raises(UserNotFoundError, match="no user eve"):
            call()


def test_gpu_seconds_are_reserved_before_they_are_spent_and_settled_after(ledger: Ledger) -> None:
    ledger.users.create("ada", Role.SUBMITTER, gpu_hours=1.0)
    assert ledger.users.reserve_gpu("ada", 3000)
    assert not ledger.users.reserve_gpu("ada", 700)
    ledger.users.settle_gpu("ada", reserved=3000, used=2900)
    assert ledger.users.reserve_gpu("ada", 700)
    assert not ledger.users.reserve_gpu("ada", 1)
    ada = ledger.users.get("ada")
    assert (ada.gpu_seconds_used, ada.gpu_seconds_reserved) == (2900, 700)
    ledger.users.settle_gpu("ada", reserved=5000, used=0)
    assert ledger.users.get("ada").gpu_seconds_reserved == 0


def test_a_user_without_a_limit_may_reserve_any_gpu_seconds(ledger: Ledger) -> None:
    ledger.users.create("ada", Role.SUBMITTER)
    assert ledger.users.reserve_gpu("ada", 1e9)


def test_reservations_at_once_never_exceed_the_limit(ledger: Ledger) -> None:
    ledger.users.create("ada", Role.SUBMITTER, gpu_hours=1.0)
    answers: list[bool] = []

    def reserve() -> None:
        answers.extend(ledger.users.reserve_gpu("ada", 400) for _ in range(4))

    threads = [threading.Thread(target=reserve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(True) == 9
    assert ledger.users.get("ada").gpu_seconds_reserved == 3600


def test_a_token_is_found_by_its_digest_with_its_user(ledger: Ledger) -> None:
    user = ledger.users.create("ada", Role.SUBMITTER)
    token = add_token(ledger)
    assert ledger.tokens.find(token.digest) == (token, user)
    assert ledger.tokens.get(token.id) == (token, user)
    assert ledger.tokens.find("f" * 64) is None
    assert ledger.tokens.get("id-9") is None


def test_a_token_needs_a_user_and_a_digest_of_its_own(ledger: Ledger) -> None:
    ledger.users.create("ada", Role.SUBMITTER)
    token = add_token(ledger)
    with pytest.raises(IntegrityError):
        ledger.tokens.add(replace(token, id="id-2"))
    with pytest.raises(IntegrityError):
        ledger.tokens.add(replace(token, id="id-3", user="eve", digest="e" * 64))


def test_tokens_are_listed_newest_first(ledger: Ledger) -> None:
    for name in ("ada", "bob"):
        ledger.users.create(name, Role.SUBMITTER)
    tokens = [add_token(ledger, user, number) for number, user in enumerate(("ada", "bob", "ada"))]
    assert ledger.tokens.list("ada") == [tokens[2], tokens[0]]
    assert ledger.tokens.list() == tokens[::-1]


def test_a_token_is_revoked_once_by_its_user_or_by_an_admin(ledger: Ledger, clock: Ticks) -> None:
    ledger.users.create("ada", Role.SUBMITTER)
    ledger.users.create("bob", Role.SUBMITTER)
    token = add_token(ledger)
    for token_id, user in ((token.id, "bob"), ("id-9", None), ("id-9", "ada")):
        with pytest.raises(TokenNotFoundError, match=f"no token {token_id}"):
            ledger.tokens.revoke(token_id, user=user)
    clock.now = 5_000
    ledger.tokens.revoke(token.id, user="ada")
    clock.now = 6_000
    ledger.tokens.revoke(token.id)
    assert [token.revoked_at for token in ledger.tokens.list("ada")] == [5_001]


def test_the_use_of_a_token_is_noted_at_most_once_a_minute(ledger: Ledger, clock: Ticks) -> None:
    ledger.users.create("ada", Role.SUBMITTER)
    token = add_token(ledger)
    noted = []
    for now in (10_000, 69_000, 70_001, 100_000):
        clock.now = now
        ledger.tokens.touch(token.id)
        noted.append(ledger.tokens.list("ada")[0].last_used_at)
    assert noted == [10_001, 10_001, 70_002, 70_002]


def test_the_audit_log_is_read_newest_first_in_pages(ledger: Ledger) -> None:
    ids = [
        ledger.audit.add(
            user=user,
            token_id="id-0",
            address="127.0.0.1",
            action="POST /api/v1/sweeps",
            status=201,
            target=target,
            detail=detail,
        )
        for user, target, detail in (("ada", "s-1", {"name": "cells"}), ("bob", "s-2", None), (None, "s-1", None))
    ]
    assert [entry.id for entry in ledger.audit.list()] == ids[::-1]
    assert [entry.id for entry in ledger.audit.list(limit=1, before=ids[2])] == [ids[1]]
    assert [entry.id for entry in ledger.audit.list(user="ada")] == [ids[0]]
    assert [entry.id for entry in ledger.audit.list(target="s-1")] == [ids[2], ids[0]]
    newest, _, oldest = ledger.audit.list()
    assert (newest.user, newest.detail, oldest.detail, oldest.status) == (None, None, {"name": "cells"}, 201)


def test_an_overlong_text_of_a_request_is_cut_and_does_not_fail(ledger: Ledger) -> None:
    long = "x" * 5_000
    ledger.audit.add(user=long, token_id=long, address=long, action=long, status=404, target=long)
    assert ledger.audit.list()[0].target == "x" * 200


def a_process(number: int, role: str = "api") -> ServiceProcess:
    return ServiceProcess(id=f"p{number}", role=role, host="here", version="1.0", started_at=number)


def test_a_process_is_listed_while_it_beats(ledger: Ledger, clock: Ticks) -> None:
    ledger.services.beat(a_process(2))
    ledger.services.beat(a_process(1, "drivers"))
    clock.now += 10_000
    ledger.services.beat(replace(a_process(1, "drivers"), status={"state": "ready"}))
    assert [process.id for process in ledger.services.list()] == ["p1", "p2"]
    assert [process.status for process in ledger.services.list("drivers")] == [{"state": "ready"}]
    clock.now += 10_000
    assert [process.id for process in ledger.services.list()] == ["p1"]
    assert [process.id for process in ledger.services.list(seen_within_ms=60_000)] == ["p1", "p2"]
    ledger.services.leave("p1")
    ledger.services.leave("p9")
    assert ledger.services.list() == []


def test_processes_that_died_long_ago_are_forgotten(ledger: Ledger, clock: Ticks) -> None:
    ledger.services.beat(a_process(1))
    clock.now += 24 * 3600 * 1000 + 1_000
    ledger.services.beat(a_process(2))
    assert [process.id for process in ledger.services.list(seen_within_ms=10**12)] == ["p2"]


def test_a_backup_takes_accounts_along_but_no_living_process(
    ledger: Ledger, tmp_path: Path, new_database: Callable[[], str]
) -> None:
    ledger.users.create("ada", Role.SUBMITTER, gpu_hours=1.0, own_code=True)
    token = add_token(ledger)
    first = ledger.audit.add(user="ada", token_id=token.id, address="::1", action="GET /", status=200)
    ledger.services.beat(a_process(1))
    ledger.backup(tmp_path / "backup.zip")
    other = Ledger(new_database(), clock=Ticks())
    other.restore(tmp_path / "backup.zip")
    assert other.users.list() == ledger.users.list()
    assert other.tokens.find(token.digest) == ledger.tokens.find(token.digest)
    assert other.audit.list() == ledger.audit.list()
    assert other.services.list() == []
    assert other.audit.add(user=None, token_id=None, address="::1", action="GET /", status=401) > first
    other.close()


def test_a_backup_is_not_restored_over_users(ledger: Ledger, tmp_path: Path, new_database: Callable[[], str]) -> None:
    new_sweep(ledger)
    ledger.backup(tmp_path / "backup.zip")
    other = Ledger(new_database(), clock=Ticks())
    other.users.create("admin", Role.ADMIN)
    with pytest.raises(BackupError, match="the ledger holds 1 users: a backup is restored into an empty home"):
        other.restore(tmp_path / "backup.zip")
    assert other.sweeps.list() == []
    other.close()


def test_each_role_may_do_what_the_roles_before_it_may() -> None:
    order = [Role.VIEWER, Role.SUBMITTER, Role.ADMIN]
    for rank, role in enumerate(order):
        assert [role.includes(other) for other in order] == [rank >= other for other in range(3)]
        assert [role.capped(cap) for cap in order] == [order[min(rank, cap)] for cap in range(3)]
