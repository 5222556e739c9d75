"""The removal of a sweep's runs from MLflow. Importing this loads MLflow."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from service.errors import TrackingError, UsageError
from service.ledgers import Ledger, Sweep
from service.settings import Home
from service.tracking import prepare_local_store
from service.tracking.experiments import forget_sweep

__all__ = ["RemovedRuns", "remove_runs"]

_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class RemovedRuns:
    """The number of runs that were deleted, and of those that stay since registered models come from them."""

    deleted: int = 0
    kept: int = 0


def remove_runs(ledger: Ledger, home: Home, sweep: Sweep) -> RemovedRuns:
    """Delete the runs of a sweep and its trials in MLflow, but for those that a registered model comes from.

    MLflow marks runs as deleted; it removes their files with `mlflow gc`. Calling this again deletes what is left.

    Raises:
        UsageError: the runs are on another server than the one that is set now.
        TrackingError: MLflow does not answer, or refuses.
    """
    if sweep.mlflow is None:
        return RemovedRuns()
    place = sweep.mlflow["tracking_uri"]
    if place != home.tracking_uri:
        raise UsageError(
            f"the runs of {sweep.id} are in {place}, but MLflow's address is now {home.tracking_uri}; set "
            f"MLFLOW_TRACKING_URI={place}, or leave out --mlflow to keep them"
        )
    try:
        prepare_local_store(home)
        client = MlflowClient(tracking_uri=place)
        runs = _runs(client, sweep)
        kept = {run for run in runs if run in _sources(client, _models(ledger, sweep))}
        parent = str(sweep.mlflow["run_id"])
        for run in sorted(
            runs - kept, key=lambda run: run == parent
        ):  # the sweep's own last, which leads to the others
            client.delete_run(run)
        if not kept:
            forget_sweep(client, sweep)
    except (MlflowException, OSError) as error:
        raise TrackingError(
            f"MLflow at {place} has not deleted the runs of {sweep.id}: {error}; the sweep is kept. Try again, or "
            "leave out --mlflow to keep its runs"
        ) from None
    return RemovedRuns(deleted=len(runs - kept), kept=len(kept))


def _runs(client: MlflowClient, sweep: Sweep) -> set[str]:
    """Return the ids of the runs of a sweep and its trials that are not deleted yet."""
    assert sweep.mlflow is not None
    query, token, runs = f"tags.`meltpoint.sweep_id` = '{sweep.id}'", None, set[str]()
    while True:
        page = client.search_runs([sweep.mlflow["experiment_id"]], query, max_results=_PAGE, page_token=token)
        runs |= {str(run.info.run_id) for run in page}
        token = page.token
        if not token:
            return runs


def _models(ledger: Ledger, sweep: Sweep) -> set[str]:
    """Return the names of the registered models to which models of a sweep went."""
    names = {str(sweep.registered["model"])} if sweep.registered else set[str]()
    return names | {move.model for move in ledger.promotions.list() if move.sweep_id == sweep.id}


def _sources(client: MlflowClient, models: Collection[str]) -> set[str]:
    """Return the ids of the runs that versions of these models come from."""
    versions = [version for name in models for version in client.search_model_versions(f"name='{name}'")]
    return {str(version.run_id) for version in versions if version.run_id}
