"""Recipe files as text."""

from __future__ import annotations

import pytest

from service.exports import headline
from tests.service.exports.files import recipe_file


@pytest.mark.parametrize(
    ("how", "because", "line"),
    [
        (
            "default stands",
            "the default stands: no finalist is ahead of it",
            "THE DEFAULT STANDS: no finalist is ahead of it",
        ),
        ("confirmed", "the winner is trial 1: better", "CONFIRMED: the winner is trial 1: better"),
        ("unconfirmed", "the best of 12 trials", "UNCONFIRMED: the best of 12 trials"),
    ],
)
def test_the_head_does_not_stutter(how: str, because: str, line: str) -> None:
    file = recipe_file()
    chosen = file.chosen.model_copy(update={"how": how, "because": because})
    assert headline(file.model_copy(update={"chosen": chosen})) == line
