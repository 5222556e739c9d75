from __future__ import annotations

import pytest

from service.errors import UsageError
from service.ledgers import Promotion, PromotionAction
from service.promotions import check_alias, check_model_name, list_aliases, previous_version

ALL = {str(number) for number in range(1, 10)}


def moves(*steps: tuple[str, str, str | None]) -> list[Promotion]:
    """Return moves, newest first; steps: action, version and version before, oldest first."""
    made = [
        Promotion(
            model="cells",
            alias="champion",
            version=version,
            previous=before,
            action=PromotionAction(action),
            id=number,
        )
        for number, (action, version, before) in enumerate(steps, 1)
    ]
    return made[::-1]


def test_ways_back_go_back_one_promotion_each() -> None:
    history = [("promote", "1", None), ("promote", "2", "1"), ("promote", "3", "2")]
    assert previous_version(moves(*history), "3", existing=ALL) == "2"
    history.append(("rollback", "2", "3"))
    assert previous_version(moves(*history), "2", existing=ALL) == "1"
    history.append(("rollback", "1", "2"))
    assert previous_version(moves(*history), "1", existing=ALL) is None
    history.append(("promote", "4", "1"))
    assert previous_version(moves(*history), "4", existing=ALL) == "1"


def test_a_way_back_after_a_promotion_that_followed_a_way_back() -> None:
    history = [("promote", "1", None), ("promote", "2", "1"), ("rollback", "1", "2"), ("promote", "3", "1")]
    assert previous_version(moves(*history), "3", existing=ALL) == "1"


def test_a_version_that_was_promoted_twice_lies_twice_on_the_way() -> None:
    history = [("promote", "1", None), ("promote", "2", "1"), ("promote", "1", "2")]
    assert previous_version(moves(*history), "1", existing=ALL) == "2"


def test_a_version_that_was_not_promoted_by_us_is_gone_back_to() -> None:
    assert previous_version(moves(("promote", "6", "5")), "6", existing=ALL) == "5"


def test_an_alias_that_was_moved_by_hand_goes_back_to_the_last_promotion() -> None:
    history = moves(("promote", "1", None), ("promote", "2", "1"))
    assert previous_version(history, "7", existing=ALL) == "2"
    assert previous_version(history, None, existing=ALL) == "1"


def test_versions_that_were_deleted_are_passed_over() -> None:
    history = moves(("promote", "1", None), ("promote", "2", "1"), ("promote", "3", "2"))
    assert previous_version(history, "3", existing={"1", "3"}) == "1"
    assert previous_version(history, "3", existing={"3"}) is None


def test_an_alias_is_listed_once_with_the_promotion_behind_its_version() -> None:
    (alias,) = list_aliases(moves(("promote", "1", None), ("promote", "2", "1"), ("rollback", "1", "2")))
    assert (alias.last.id, alias.last.version) == (3, "1")
    assert alias.origin is not None
    assert alias.origin.id == 1


@pytest.mark.parametrize(
    ("alias", "reason"),
    [
        ("latest", "MLflow keeps `latest`"),
        ("Latest", "MLflow keeps"),
        ("v2", "MLflow keeps"),
        ("V10", "MLflow keeps"),
        ("candidate", "each sweep moves this alias"),
        ("", "must be 1 to 255 letters"),
        ("a b", "must be 1 to 255 letters"),
        ("a" * 256, "must be 1 to 255 letters"),
    ],
)
def test_aliases_that_cannot_be_moved_are_refused(alias: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        check_alias(alias)


def test_other_names_are_taken() -> None:
    check_alias("champion")
    check_alias("v2-beta")
    check_model_name("solar cells")
    with pytest.raises(UsageError, match="--model a/b: must contain neither / nor :"):
        check_model_name("a/b")
