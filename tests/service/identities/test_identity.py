"""Sweeps that an identity sees and changes, by its role, its token's role and the owner."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search_spaces import Goal, MeltpointError
from service.errors import ForbiddenError, SweepNotFoundError
from service.identities import Identity, Role, check_may_change, visible_owner
from service.ledgers import Sweep, SweepState

SWEEP = Sweep(
    id="s-1",
    name="cells",
    state=SweepState.RUNNING,
    spec_text="",
    spec_file="s.yaml",
    metric="val/accuracy",
    goal=Goal.MAXIMIZE,
    seed=0,
    data={},
    settings={},
    created_at=0,
)
OWNERS = {"own": "ada", "other": "bob", "nobody": None}


def identity(user_role: Role, token_role: Role | None = None) -> Identity:
    role = user_role.capped(token_role or user_role)
    return Identity(user="ada", role=role, token_id="0", user_role=user_role)


def sees(caller: Identity, sweep: Sweep) -> bool:
    return visible_owner(caller) in (None, sweep.owner)


def refusal(caller: Identity, sweep: Sweep) -> type[MeltpointError] | None:
    try:
        check_may_change(caller, sweep)
    except MeltpointError as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("role", "refusals"),
    [
        (Role.VIEWER, {"own": ForbiddenError, "other": ForbiddenError, "nobody": ForbiddenError}),
        (Role.SUBMITTER, {"own": None, "other": SweepNotFoundError, "nobody": SweepNotFoundError}),
        (Role.ADMIN, {"own": None, "other": None, "nobody": None}),
    ],
)
def test_a_viewer_changes_nothing_a_submitter_own_sweeps_an_admin_all(
    role: Role, refusals: dict[str, type[MeltpointError] | None]
) -> None:
    for owner, name in OWNERS.items():
        assert refusal(identity(role), replace(SWEEP, owner=name)) is refusals[owner]


def test_viewers_and_admins_see_all_sweeps_submitters_their_own() -> None:
    assert [visible_owner(identity(role)) for role in Role] == [None, "ada", None]


@pytest.mark.parametrize("owner", OWNERS.values())
@pytest.mark.parametrize("token_role", list(Role))
@pytest.mark.parametrize("user_role", list(Role))
def test_a_token_with_a_lower_role_shows_and_changes_no_more_than_its_user_may(
    user_role: Role, token_role: Role, owner: str | None
) -> None:
    sweep = replace(SWEEP, owner=owner)
    full, capped = identity(user_role), identity(user_role, token_role)
    assert sees(full, sweep) or not sees(capped, sweep)
    assert refusal(full, sweep) is None or refusal(capped, sweep) is not None
    if not sees(capped, sweep):
        assert refusal(capped, sweep) is SweepNotFoundError, "what is not visible does not exist"


def test_a_sweep_of_another_user_is_refused_as_one_that_does_not_exist() -> None:
    with pytest.raises(SweepNotFoundError, match=r"^no sweep s-1$"):
        check_may_change(identity(Role.SUBMITTER), replace(SWEEP, owner="bob"))
