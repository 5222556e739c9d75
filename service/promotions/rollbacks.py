"""The way back: an alias given to the version that had it before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from service.errors import NotFoundError, TrackingError, UsageError
from service.ledgers import Promotion, PromotionAction
from service.promotions.champions import find_origin, previous_version
from service.promotions.promoting import find_champion, locked_aliases
from service.settings import Home

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["roll_back"]


def roll_back(
    client: MlflowClient, ledger: Ledger, home: Home, *, model: str, alias: str, user: str | None
) -> Promotion:
    """Give an alias back to the version that had it before, and record that; return the move.

    Raises:
        NotFoundError: no promotion has given the alias away.
        UsageError: there is no earlier version.
        TrackingError: MLflow does not answer; nothing has changed then.
    """
    with locked_aliases(home):
        moves = ledger.promotions.list(model, alias)
        if not moves:
            raise NotFoundError(f"nothing was promoted to {model}@{alias}; `meltpoint models` lists what was")
        try:
            champion = find_champion(client, model, alias)
            versions = client.search_model_versions(f"name = '{model}'")
            present = None if champion is None else str(champion.version)
            earlier = previous_version(moves, present, existing={str(version.version) for version in versions})
            if earlier is None:
                raise UsageError(
                    f"{model}@{alias} has no earlier version to go back to; its history: meltpoint models {model}"
                )
            client.set_registered_model_alias(model, alias, earlier)
        except MlflowException as error:
            raise TrackingError(
                f"MLflow at {home.tracking_uri} did not move the alias: {error}; nothing has changed"
            ) from error
        move = Promotion(
            model=model,
            alias=alias,
            version=earlier,
            action=PromotionAction.ROLLBACK,
            previous=present,
            user_name=user,
        )
        origin = find_origin(moves, move)
        if origin is not None:
            move = Promotion(**vars(move) | {"sweep_id": origin.sweep_id, "trial_id": origin.trial_id})
        return ledger.promotions.add(move)
