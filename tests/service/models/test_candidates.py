"""The alias `candidate`: it moves to a new model unless the present one is better on the same images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from search_spaces import Goal
from service.ledgers import Json, Ledger, Sweep, Trial
from service.models import LoggedClassifier, log_candidate
from service.settings import Home
from service.tracking import prepare_local_store
from tests.tracked_sweeps import Clock, mixed_sweep


@pytest.fixture
def place(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home").create()
    prepare_local_store(home)
    return home


@pytest.fixture
def client(place: Home) -> MlflowClient:
    return MlflowClient(tracking_uri=place.tracking_uri)


@pytest.fixture
def base(place: Home) -> Iterator[tuple[Sweep, Trial]]:
    """A completed sweep and a trial of it, which the tests change."""
    with closing(Ledger.open(place, clock=Clock())) as ledger:
        sweep = mixed_sweep(ledger, trials=1)
        yield sweep, ledger.trials.list(sweep.id)[0]


def register(
    client: MlflowClient,
    place: Home,
    base: tuple[Sweep, Trial],
    name: str,
    value: float,
    *,
    images: str = "v",
    known: tuple[Sweep, Trial] | None = None,
    **changes: Any,
) -> Json:
    """Register the model of a trial with `value`, in a sweep of that name; known: what the ledger has of others."""
    sweep, trial = base
    resized = {"bicubic": {"splits": {"val": {"images": 20, "digest": images * 32}}}}
    sweep = replace(sweep, id=name, data=sweep.data | {"resized": resized}, **changes)
    run = client.create_run("0").info.run_id
    trial = replace(trial, id=f"{name}-0000", sweep_id=name, best_value=value, mlflow_run_id=run)
    return log_candidate(
        client,
        sweep=sweep,
        trial=trial,
        logged=LoggedClassifier(uri=f"runs:/{run}/model", model_id=None),
        test={},
        tracking_uri=place.tracking_uri,
        find_records=lambda _: known,
    )


def holder(client: MlflowClient) -> int:
    return int(client.get_registered_model("photos").aliases["candidate"])


def test_a_worse_model_of_the_same_images_leaves_the_alias_where_it_is(
    client: MlflowClient, place: Home, base: tuple[Sweep, Trial]
) -> None:
    first = register(client, place, base, "s-a", 0.9)
    assert (first["uri"], first["alias"]) == ("models:/photos@candidate", "candidate")
    worse = register(client, place, base, "s-b", 0.8)
    assert (worse["uri"], worse["alias"], worse["version"]) == ("models:/photos/2", None, "2")
    assert worse["kept"] == (
        "models:/photos@candidate stays version 1, the model of s-a-0000: on the same images it has val/accuracy "
        "0.9000, and version 2, the best of this sweep, 0.8000"
    )
    assert holder(client) == 1
    assert "models:/photos/2" in str(client.get_model_version("photos", "2").description)
    assert register(client, place, base, "s-c", 0.95)["alias"] == "candidate"
    assert holder(client) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"images": "w"},
        {"metric": "val/f1"},
        {"metric": "val/loss", "goal": Goal.MINIMIZE},
    ],
    ids=["other images", "another metric", "a loss"],
)
def test_a_model_that_cannot_be_compared_takes_the_alias(
    client: MlflowClient, place: Home, base: tuple[Sweep, Trial], changes: dict[str, Any]
) -> None:
    register(client, place, base, "s-a", 0.9)
    assert register(client, place, base, "s-b", 0.2, **changes)["alias"] == "candidate"
    assert holder(client) == 2


def test_a_version_without_a_score_is_compared_by_what_the_ledger_knows(
    client: MlflowClient, place: Home, base: tuple[Sweep, Trial]
) -> None:
    """Versions that were registered before scores were written have none; those of another home are unknown."""
    register(client, place, base, "s-a", 0.9)
    for name in ("metric", "value", "images"):
        client.delete_model_version_tag("photos", "1", f"meltpoint.{name}")
    sweep, trial = base
    known = replace(sweep, data={"resized": {"bicubic": {"splits": {"val": {"digest": "v" * 32}}}}})
    kept = register(client, place, base, "s-b", 0.8, known=(known, replace(trial, best_value=0.9)))
    assert (kept["alias"], holder(client)) == (None, 1)
    assert register(client, place, base, "s-c", 0.8, known=None)["alias"] == "candidate"


def test_the_same_sweep_moves_its_own_alias_and_a_repeated_registration_changes_nothing(
    client: MlflowClient, place: Home, base: tuple[Sweep, Trial]
) -> None:
    register(client, place, base, "s-a", 0.9)
    assert register(client, place, base, "s-a", 0.8)["alias"] == "candidate"
    assert holder(client) == 2
