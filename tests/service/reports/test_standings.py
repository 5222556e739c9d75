"""The standing of a leaderboard: how optimistic the best score is, and which ranks the images do not tell apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.ledgers import Ledger
from service.reports import Leaderboard, Standing
from service.schemas import LeaderboardModel
from tests.service.confirmations.searched_sweeps import SPEC, SPLITS, SearchedSweep


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open_file(tmp_path / "ledger.db", clock=lambda: 1)
    yield opened
    opened.close()


ALIKE = {0.0: 0.80} | {round(0.05 * place, 2): 0.80 for place in range(1, 12)} | {0.9: 0.30}


def test_the_best_of_many_alike_is_too_good_and_the_others_are_marked(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, ALIKE)
    board = Leaderboard.read(ledger, searched.sweep, with_standing=True)
    standing, best = board.standing, board.best
    assert standing is not None
    assert best is not None
    assert best.best_value is not None
    assert 0.005 < standing.optimism < 0.08
    assert standing.corrected == pytest.approx(best.best_value - standing.optimism)
    assert standing.images == SPLITS["val"]
    assert len(standing.like_first) > 6
    marks = [row[2].endswith(" =") for row in board.cells()]
    assert marks[0] is False
    assert marks[1] is True
    assert marks[-1] is False
    assert "not told apart from the first by these images" in board.standing_lines()[1]


def test_a_first_far_ahead_is_told_apart(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, {0.0: 0.5, 0.25: 0.95, 0.5: 0.4})
    board = Leaderboard.read(ledger, searched.sweep, with_standing=True)
    assert [row["like_first"] for row in board.as_json()] == [True, False, False]
    assert [row["optimism"] is None for row in board.as_json()] == [False, True, True]
    assert board.standing_lines()[1] == "these images tell the first apart from all others"


def test_a_loss_is_corrected_upwards(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, ALIKE, spec=SPEC + "metric: {name: val/loss}\n")
    board = Leaderboard.read(ledger, searched.sweep, with_standing=True)
    standing, best = board.standing, board.best
    assert standing is not None
    assert standing.optimism > 0
    assert best is not None
    assert best.best_value is not None
    assert standing.corrected > best.best_value


def test_a_metric_that_is_no_mean_over_images_has_no_standing(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, ALIKE, spec=SPEC + "metric: {name: val/auroc}\n")
    assert Standing.read(ledger, searched.sweep, ledger.trials.list(searched.sweep.id)) is None


def test_without_predictions_there_is_no_standing(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, ALIKE)
    with ledger._transactions.writing() as connection:
        connection.exec_driver_sql("DELETE FROM predictions")
    board = Leaderboard.read(ledger, searched.sweep, with_standing=True)
    assert board.standing is None
    assert {row["like_first"] for row in board.as_json()} == {None}
    assert board.standing_lines() == []


def test_a_standing_passes_through_the_api(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, ALIKE)
    board = Leaderboard.read(ledger, searched.sweep, with_standing=True)
    model = LeaderboardModel.model_validate_json(
        json.dumps(LeaderboardModel.from_record(board).model_dump(mode="json"))
    )
    assert model.to_record().standing == board.standing
