from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from service.clocks import now_ms
from service.errors import UsageError
from service.ledgers import Ledger, MessageKind, SweepState
from service.promotions import choose_model
from service.registry import request_promotion
from service.settings import Home
from tests.service.confirmations.searched_sweeps import SearchedSweep
from tests.service.sweeps.sweeps import add_sweep, add_trials


@pytest.fixture
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    with closing(Ledger.open(Home(tmp_path_factory.mktemp("home")).create(), clock=now_ms)) as ledger:
        yield ledger


def test_a_sweep_that_runs_is_refused_with_the_command_that_waits(ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    with pytest.raises(UsageError, match=f"{sweep.id} is running: .* meltpoint watch {sweep.id}"):
        choose_model(ledger, sweep, unconfirmed=True)


def test_a_sweep_without_a_model_is_refused(ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.FAILED)
    with pytest.raises(UsageError, match=r"has no model to promote: .* meltpoint trials"):
        choose_model(ledger, sweep, unconfirmed=True)


def test_a_search_is_promoted_only_if_that_is_asked_for(ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.COMPLETED)
    first, _ = add_trials(ledger, sweep, 0.9, 0.8)
    ledger.sweeps.note(sweep.id, best_trial_id=first)
    sweep = ledger.sweeps.get(sweep.id)
    with pytest.raises(UsageError, match=r"is unconfirmed: .* add --unconfirmed"):
        choose_model(ledger, sweep, unconfirmed=False)
    chosen = choose_model(ledger, sweep, unconfirmed=True)
    assert (chosen.trial_id, chosen.confirmed) == (first, False)
    assert "the best of 2 trials" in chosen.headline


def test_a_confirmation_without_a_claim_confirms_no_model(ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.COMPLETED)
    first, second = add_trials(ledger, sweep, 0.9, 0.8)
    confirmation = {"decision": {"outcome": "no_claim"}, "deployed": second}
    ledger.sweeps.note(sweep.id, best_trial_id=first, confirmation=confirmation)
    sweep = ledger.sweeps.get(sweep.id)
    with pytest.raises(UsageError, match=f"came to no claim, .* --unconfirmed.* meltpoint confirm {sweep.id}$"):
        choose_model(ledger, sweep, unconfirmed=False)
    chosen = choose_model(ledger, sweep, unconfirmed=True)
    assert (chosen.trial_id, chosen.confirmed) == (first, False)


def test_only_a_sweep_that_can_be_confirmed_is_sent_to_confirm(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, {0.0: 0.8, 0.25: 0.9})
    ledger.sweeps.note(searched.sweep.id, best_trial_id=f"{searched.sweep.id}-0001")
    sweep = ledger.sweeps.get(searched.sweep.id)
    with pytest.raises(UsageError, match=f"To confirm it first: meltpoint confirm {sweep.id}$"):
        choose_model(ledger, sweep, unconfirmed=False)
    with pytest.raises(UsageError, match=r"It cannot be confirmed now: .*; confirm it where it ran$"):
        choose_model(ledger, sweep, unconfirmed=False, is_remote=True)


def test_a_single_trial_is_not_called_the_best_of_many(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, {0.0: 0.8})
    ledger.sweeps.note(searched.sweep.id, best_trial_id=f"{searched.sweep.id}-0000")
    sweep = ledger.sweeps.get(searched.sweep.id)
    with pytest.raises(UsageError, match=f"its only trial .* cannot be .*: meltpoint resume {sweep.id} --set"):
        choose_model(ledger, sweep, unconfirmed=False)
    assert choose_model(ledger, sweep, unconfirmed=True).headline.startswith("unconfirmed: the only trial")


def test_the_same_request_waits_once(ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.COMPLETED)
    (first,) = add_trials(ledger, sweep, 0.9)
    ledger.sweeps.note(sweep.id, best_trial_id=first)
    sweep = ledger.sweeps.get(sweep.id)
    first_request, _ = request_promotion(ledger, sweep, alias="champion", unconfirmed=True)
    second, _ = request_promotion(ledger, sweep, alias="champion", unconfirmed=True)
    other, _ = request_promotion(ledger, sweep, alias="champion", unconfirmed=True, force=True)
    assert first_request.key == second.key != other.key
    kinds = [message.kind for message in ledger.outbox.unsent(sweep.id)]
    assert kinds.count(MessageKind.PROMOTION) == 2
