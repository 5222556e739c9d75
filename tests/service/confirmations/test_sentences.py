"""Plain sentences about a decision."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.confirmations import Outcome, explain_decision, explain_doubt, explain_leads, summarize_decision, what_next
from tests.service.confirmations.evidence import decided, ranked, retrained, searched


def test_a_winner_is_named_with_its_probability_and_its_honest_score() -> None:
    lines = explain_decision(decided(retrained(0, 0.6), retrained(1, 0.8)))
    assert lines[0] == "the winner is trial 1: better than the default with probability 0.999"
    assert lines[1].startswith("score of trial 1 ")
    assert lines[1].endswith("from 200 confirmation images and 4 seeds")
    assert lines[2].startswith("the search had measured ")
    assert lines[3].startswith(
        "trial 1 minus the default: measured +20.25, corrected +20.25 points, 95% interval +16.38"
    )
    assert lines[4].startswith("a repeat of this size would agree with a chance of ")
    assert len(lines) == 5


def test_an_open_decision_says_what_would_settle_it() -> None:
    decision = decided(retrained(0, 0.75), retrained(4, 0.76))
    assert summarize_decision(decision).startswith("the default stands: the leader trial 4 is +")
    images = replace(decision, needs_seeds=False, needed_images=2_341)
    assert what_next(images) == (
        f"to confirm {100 * decision.finalists[0].lead:+.2f} points, about 2,400 val + confirmation images are needed"
    )
    assert "raise confirm.seeds" in (what_next(replace(decision, needs_seeds=True)) or "")


def test_a_worse_score_of_the_search_is_called_worse() -> None:
    decision = decided(retrained(0, 0.6), retrained(1, 0.8))
    lines = explain_decision(replace(decision, naive=0.5, score=0.75))
    assert "the search had measured 50.00%: 25.00 points worse" in lines
    lines = explain_decision(replace(decision, naive=0.8, score=0.75))
    assert "the search had measured 80.00%: 5.00 points better" in lines


def test_a_lead_that_luck_explains_is_told_as_such() -> None:
    decision = decided(retrained(0, 0.75), retrained(4, 0.76))
    ahead = replace(decision.finalists[0], raw=0.0064, optimism=0.00643, lead=-0.00003)
    luck = replace(decision, outcome=Outcome.DEFAULT_BEST, finalists=(ahead,), needed_images=None)
    assert summarize_decision(luck) == "the default stands: no finalist is ahead of it once luck is taken off"
    assert "trial 4 minus the default: measured +0.64, corrected 0.00 points" in "; ".join(explain_decision(luck))


def test_the_columns_of_the_table_are_explained() -> None:
    decision = decided(retrained(0, 0.75), retrained(4, 0.76))
    means, measured, corrected = explain_leads(decision)
    assert means == "retrained: mean of 4 fresh seeds on 400 val + 200 confirmation images"
    assert measured == "measured lead: retrained minus the default's, in points"
    assert corrected.startswith("corrected lead: ")
    assert explain_leads(replace(decision, bounded=False))[1].endswith("in loss, + is better")
    assert explain_leads(replace(decision, finalists=())) == []


def test_a_decision_by_the_loss_speaks_of_losses() -> None:
    decision = decided(retrained(0, 0.6), retrained(1, 0.8))
    lines = explain_decision(replace(decision, bounded=False, naive=-0.5, score=-0.6, low=-0.7, high=-0.55))
    assert lines[1].startswith("loss of trial 1 0.6000, 95% interval 0.5500 to 0.7000, from 200 confirmation images")
    assert lines[2] == "the search had measured 0.5000: 0.1000 in loss better"
    assert " in loss (+ is better), 95% interval +" in lines[3]
    assert not any("%:" in line or "points" in line for line in lines)


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (95, "about 95 val"),
        (936_759, "about 940,000 val"),
        (996_759, "about 1,000,000 val"),
        (1_000_001, "more than a million val"),
    ],
)
def test_the_images_that_are_missing_have_two_figures_and_no_absurd_number(images: int, text: str) -> None:
    decision = decided(retrained(0, 0.75), retrained(4, 0.76))
    assert text in (what_next(replace(decision, needs_seeds=False, needed_images=images)) or "")


def test_a_default_that_breaks_a_limit_does_not_stand_without_a_word() -> None:
    default, better = replace(retrained(0, 0.6), breaks="parameters 9 > 5"), retrained(1, 0.8)
    worse = retrained(2, 0.5)
    stands = decided(default, worse)
    assert summarize_decision(stands) == (
        "the default stands: no finalist is ahead of it, but it breaks a limit: parameters 9 > 5"
    )
    assert explain_decision(stands)[-1] == "give the space a default that keeps every limit, and run the sweep again"
    won = decided(default, better)
    assert summarize_decision(won) == "the winner is trial 1: better than the default with probability 0.999"
    assert "the default breaks a limit: parameters 9 > 5" in explain_decision(won)


def test_finalists_that_break_a_limit_are_named() -> None:
    broken = replace(retrained(1, 0.8), breaks="val/ece 0.2 > 0.1")
    decision = decided(retrained(0, 0.6), broken)
    lines = explain_decision(decision)
    assert lines[0] == "the default stands: with fresh seeds every finalist breaks a limit"
    assert "trial 1 cannot win: with fresh seeds it breaks a limit: val/ece 0.2 > 0.1" in lines
    assert explain_doubt(decision) == "no leader: no finalist keeps every limit of the sweep's metrics"


def test_a_default_that_is_best_needs_nothing_else() -> None:
    decision = decided(retrained(0, 0.8), retrained(1, 0.6))
    assert summarize_decision(decision) == "the default stands: no finalist is ahead of it"
    assert what_next(decision) is None


def test_the_reason_for_no_probability_is_given() -> None:
    few = decided(retrained(0, 0.6, val=30, confirm=80), retrained(1, 0.9, val=30, confirm=80))
    assert explain_doubt(few) == "no probability below 120 val + confirmation images (110)"
    assert "data.split" in (what_next(few) or "")
    fewer = decided(retrained(0, 0.6, confirm=50), retrained(1, 0.9, confirm=50))
    assert explain_doubt(fewer) == "no claim below 60 confirmation images (50)"
    assert what_next(fewer) == "raise data.split.confirm to 60 images or more and run the sweep again"
    default = retrained(0, 0.7)
    same = decided(default, replace(default, identity="r1", trial_number=1))
    assert explain_doubt(same) == "no probability: the leader is right on the same images as the default"
    single = decided(retrained(0, 0.6, seeds=1), retrained(1, 0.9, seeds=1))
    assert explain_doubt(single) == "no probability: 1 seed of each recipe is left, at least 2 are needed"
    assert summarize_decision(single) == "no claim: keep the default recipe"


def test_a_cheaper_winner_is_said_to_be_cheaper() -> None:
    leader = retrained(1, 0.8, cost=2.0)
    cheaper = replace(leader, identity="r2", trial_number=2, cost=1.0, val=leader.val.copy())
    cheaper.val[:, 0] = 0.0
    line = summarize_decision(decided(retrained(0, 0.5), leader, cheaper))
    assert line.startswith("the winner is trial 2: cheaper than the leader trial 1, better than the default with")


def test_ranked_evidence_keeps_the_order_that_it_is_given() -> None:
    recipes = ranked([retrained(3, 0.9), retrained(1, 0.8)])
    assert searched(recipes).identities == ["r3", "r1"]
