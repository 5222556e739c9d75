"""A promotion as it is carried out: the model logged and registered, compared with the champion, the alias moved."""

from __future__ import annotations

import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlflow.entities import Metric as MlflowMetric
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from search_spaces import MeltpointError
from service.errors import ArtifactError, TrialNotFoundError, UnavailableError
from service.file_locks import try_lock
from service.ledgers import EventKind, Json, Promotion, PromotionAction, Sweep, Trial
from service.models import LoggedClassifier, log_model
from service.models.logged import tracking_to
from service.models.versions import find_version, register_version, show_version
from service.promotions.descriptions import describe_version, version_tags
from service.promotions.gate_readings import IncomparableError, Right, read_known_test, read_test, read_test_of_version
from service.promotions.gates import GateResult, compare_paired
from service.promotions.images import SweepImages
from service.promotions.requests import PromotionOutcome, PromotionRequest, PromotionStatus
from service.settings import Home
from trainables.stores.prepared import PreparedData

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["Promoter", "find_champion", "locked_aliases"]

LOCK_PATIENCE_SECONDS = 120.0

_REFUSALS = ("BAD_REQUEST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED", "RESOURCE_DOES_NOT_EXIST")
"""MLflow's errors that no other try mends."""


@dataclass(frozen=True, kw_only=True)
class _Verdict:
    """The gate's answer. sentence: why. evidence: the same for the record."""

    passes: bool
    sentence: str
    evidence: Json


class Promoter:
    """Carries out requests for promotions; each may be carried out again.

    Ownership: borrows client and ledger. Thread safety: one thread at a time.
    """

    def __init__(self, client: MlflowClient, ledger: Ledger, home: Home) -> None:
        self._client, self._ledger, self._home = client, ledger, home

    def promote(self, sweep: Sweep, request: PromotionRequest) -> PromotionOutcome:
        """Carry out a request, and record what became of it as an event of the sweep.

        A refusal is an outcome too, and so is a model that cannot be made again.

        Raises:
            ArtifactError, MlflowException: MLflow does not answer or take the model; nothing was decided then.
        """
        with locked_aliases(self._home):
            try:
                outcome = self._promote(sweep, request)
            except ArtifactError:
                raise
            except MeltpointError as error:
                outcome = _outcome(request, PromotionStatus.REFUSED, str(error))
            except MlflowException as error:
                if error.error_code not in _REFUSALS:
                    raise
                outcome = _outcome(request, PromotionStatus.REFUSED, f"MLflow refuses it: {error.message}")
            self._ledger.events.add(sweep.id, EventKind.PROMOTION, outcome.as_json(), request.trial_id)
        return outcome

    def _promote(self, sweep: Sweep, request: PromotionRequest) -> PromotionOutcome:
        trial = self._ledger.trials.get(request.trial_id)
        champion = find_champion(self._client, request.model, request.alias)
        if champion is not None and champion.run_id == trial.mlflow_run_id:
            self._note_if_missing(request, champion)
            place = f"{request.model}@{request.alias}"
            sentence = f"{place} is version {champion.version}, the model of {trial.id}, already"
            return replace(_outcome(request, PromotionStatus.UNCHANGED, sentence), version=str(champion.version))
        images = SweepImages(sweep, self._home)
        data = images.open_for(trial)
        right = read_test(self._ledger, trial, data)
        verdict = self._ask_gate(sweep, right, champion, data, images)
        evidence = request.evidence | {
            "headline": request.headline,
            "confirmed": request.confirmed,
            "forced": request.force and not verdict.passes,
            "gate": verdict.evidence,
            "test_images": self._describe_reading(trial, right),
        }
        previous = None if champion is None else str(champion.version)
        if not verdict.passes and not request.force:
            refused = _outcome(
                request,
                PromotionStatus.REFUSED,
                verdict.sentence,
                f"{request.model}@{request.alias} stays version {previous}; --force promotes {trial.id} all the same",
            )
            return replace(refused, version=previous, previous=previous, evidence=evidence)
        version = self._register(sweep, trial, request, right, data, images, verdict)
        self._client.set_registered_model_alias(request.model, request.alias, version)
        self._ledger.promotions.add(
            Promotion(
                model=request.model,
                alias=request.alias,
                version=version,
                action=PromotionAction.PROMOTE,
                previous=previous,
                sweep_id=sweep.id,
                trial_id=trial.id,
                evidence=evidence,
                user_name=request.user_name,
            )
        )
        sentences = [f"{request.model}@{request.alias} is version {version} now, the model of {trial.id}"]
        if previous is not None:
            sentences.append(f"before, it was version {previous}; meltpoint rollback {request.model} puts it back")
        sentences += [request.headline, verdict.sentence]
        promoted = _outcome(request, PromotionStatus.PROMOTED, *sentences)
        return replace(promoted, version=version, previous=previous, evidence=evidence)

    def _describe_reading(self, trial: Trial, right: Right) -> Json:
        """Return what read the test images, and how many of them the model has right."""
        known = self._ledger.predictions.get(trial.id, "test")
        return {
            "images": len(right),
            "correct": int(right.sum()),
            "read_by": known and known.read_by,
            "read_at": known and known.read_at,
        }

    def _ask_gate(
        self,
        sweep: Sweep,
        right: Right,
        champion: ModelVersion | None,
        data: PreparedData,
        images: SweepImages,
    ) -> _Verdict:
        if champion is None:
            sentence = f"no model had the alias before; right on {int(right.sum())} of {len(right)} test images"
            return _Verdict(passes=True, sentence=sentence, evidence={"champion": None})
        name = f"version {champion.version}"
        about: Json = {"champion": str(champion.version), "trial_id": champion.tags.get("meltpoint.trial_id")}
        try:
            if not len(right):
                raise IncomparableError(f"{sweep.id} has no test images")
            theirs = self._read_champion(champion, data, images)
        except IncomparableError as error:
            sentence = f"{name} cannot be compared: {error}"
            return _Verdict(passes=False, sentence=sentence, evidence=about | {"incomparable": str(error)})
        result: GateResult = compare_paired(right, theirs)
        sentence = result.sentence(name)
        same_data = self._trained_on(champion, data)
        if not same_data:
            sentence += (
                f"; {name} comes from other images or another split, so it may have been trained on some of these "
                "test images, which favours it"
            )
        evidence = about | result.as_json() | {"same_data": same_data}
        return _Verdict(passes=not result.is_worse, sentence=sentence, evidence=evidence)

    def _read_champion(self, champion: ModelVersion, data: PreparedData, images: SweepImages) -> Right:
        if self._trained_on(champion, data):
            known = read_known_test(self._ledger, champion.tags["meltpoint.trial_id"], data)
            if known is not None:
                return known
        return read_test_of_version(champion, data, images, tracking_uri=self._home.tracking_uri)

    def _trained_on(self, champion: ModelVersion, data: PreparedData) -> bool:
        """Return whether the champion is a model of this ledger, trained on the same images and splits."""
        try:
            trial = self._ledger.trials.get(champion.tags.get("meltpoint.trial_id", ""))
        except TrialNotFoundError:
            return False
        resized = self._ledger.sweeps.get(trial.sweep_id).data.get("resized", {})
        return bool(resized.get(data.interpolation, {}).get("digest") == data.digest)

    def _register(
        self,
        sweep: Sweep,
        trial: Trial,
        request: PromotionRequest,
        right: Right,
        data: PreparedData,
        images: SweepImages,
        verdict: _Verdict,
    ) -> str:
        """Register the model, or find it registered, with what speaks for it; return its version."""
        payload = {"data": str(data.folder), "split_key": data.split_key, "code": str(images.folder)}
        uri = self._home.tracking_uri
        logged = log_model(self._client, sweep=sweep, trial=trial, payload=payload, tracking_uri=uri)
        linked = self._linked_metrics(trial, logged)
        if len(right) and "test/accuracy" not in linked:
            at, step = trial.finished_at or trial.created_at, trial.best_epoch or 0
            accuracy = MlflowMetric("test/accuracy", float(right.mean()), at, step, model_id=logged.model_id)
            self._client.log_batch(str(trial.mlflow_run_id), metrics=[accuracy])
        description = describe_version(sweep, trial, request, right, verdict.sentence)
        version = find_version(self._client, request.model, trial)
        if version is None:
            with tracking_to(uri):  # the client finds the model's files there
                version = register_version(self._client, request.model, logged, trial, description)
        else:
            self._client.update_model_version(request.model, version, description)
        show_version(self._client, logged, request.model, version)
        for name, value in version_tags(request, right, data.classes).items():
            self._client.set_model_version_tag(request.model, version, name, value)
        return version

    def _linked_metrics(self, trial: Trial, logged: LoggedClassifier) -> Set[str]:
        """Return the names of the metrics that a model has, or its run if MLflow has no metrics of models."""
        if logged.model_id is None:
            return self._client.get_run(str(trial.mlflow_run_id)).data.metrics.keys()
        return {metric.key for metric in self._client.get_logged_model(logged.model_id).metrics or ()}

    def _note_if_missing(self, request: PromotionRequest, champion: ModelVersion) -> None:
        """Record a promotion that a process has carried out and could not record before it died."""
        moves = self._ledger.promotions.list(request.model, request.alias)
        if not moves or moves[0].version != str(champion.version):
            self._ledger.promotions.add(
                Promotion(
                    model=request.model,
                    alias=request.alias,
                    version=str(champion.version),
                    action=PromotionAction.PROMOTE,
                    previous=moves[0].version if moves else None,
                    sweep_id=champion.tags.get("meltpoint.sweep_id"),
                    trial_id=request.trial_id,
                    evidence=request.evidence | {"headline": request.headline, "confirmed": request.confirmed},
                    user_name=request.user_name,
                )
            )


def find_champion(client: MlflowClient, model: str, alias: str) -> ModelVersion | None:
    """Return the version that has the alias; None if the model or the alias does not exist.

    Raises:
        MlflowException: MLflow does not answer.
    """
    try:
        aliases = client.get_registered_model(model).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return client.get_model_version(model, aliases[alias]) if alias in aliases else None


@contextmanager
def locked_aliases(home: Home) -> Iterator[None]:
    """Let one process of this home at a time move aliases. Raises UnavailableError after two minutes."""
    deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
    while True:
        with try_lock(home.promotions_lock) as is_ours:
            if is_ours:
                yield
                return
        if time.monotonic() > deadline:
            raise UnavailableError("another promotion or rollback is under way in this home; try again later")
        time.sleep(0.1)


def _outcome(request: PromotionRequest, status: PromotionStatus, *sentences: str) -> PromotionOutcome:
    return PromotionOutcome(
        key=request.key,
        status=status,
        model=request.model,
        alias=request.alias,
        trial_id=request.trial_id,
        sentences=sentences,
    )
