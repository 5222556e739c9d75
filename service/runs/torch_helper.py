"""The torch parts of a sweep beside its trials, as one object that can live in a process that has loaded torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from search_spaces import SweepSpec, names_of_parts, own_metrics, weights_used
from service.clocks import now_ms
from service.clusters import Allotment
from service.clusters.gpu_shares import share_out
from service.clusters.placements import ClusterNode
from service.ledgers import Json, Trial
from service.logs import configure_helper_logs
from service.models import best_trainer
from service.plans.admission import check_own_code, check_parts, check_precisions
from service.plans.costs import measure_models
from service.runs.helpers import TorchTasks
from service.runs.image_sets import ImageSet, ImageSets
from service.runs.versions import training_versions
from service.settings import Home
from trainables.activations import SharingSettings
from trainables.checkpoint_stores import probe_store
from trainables.datasets import ImageTable, source_facts
from trainables.devices import Gpu
from trainables.own_code import code_digests
from trainables.stores.prepared import PreparedData, Progress, prepare_for_backbones, read_table, summarize_data
from trainables.stores.references import ImagesReference
from trainables.training import add_own_metrics
from trainables.training.predictions import pack, pack_labels
from trainables.training.trainer import Trainer
from trainables.weights.digests import weights_digest
from trainables.weights.weights import check_weights

__all__ = ["TorchHelper", "configure_process"]


class TorchHelper(TorchTasks):
    """Admits a sweep, prepares its images, and at its end evaluates the best model on the test images.

    The prepared images stay in use, and are not pruned, as long as the object lives.
    """

    def __init__(self, spec: SweepSpec, home: Home) -> None:
        self._spec, self._home = spec, home
        self._table: ImageTable | None = None
        self._data: dict[str, PreparedData] = {}
        self._best: Trainer | None = None
        self._weights: list[Json] = []

    def admit(self, store: str | None) -> None:
        """Check what can be checked before an image is decoded; store: place of checkpoints."""
        if store is not None:
            probe_store(store)
        check_own_code(self._spec)
        check_parts(self._spec)
        self._table = read_table(self._spec.data, base_dir=self._spec.folder, root=self._home.data)

    def share_out(
        self, cpus: float, gpus: float, listed: Sequence[Gpu], nodes: Sequence[ClusterNode] | None = None
    ) -> Allotment:
        """Return how many trials run at once, and on what."""
        return share_out(self._spec, cpus=cpus, gpus=gpus, listed=listed, nodes=nodes)

    def check(self, device: str) -> list[str]:
        """Check the weights and number formats of all trials on `device`; return cautions about slow formats."""
        cautions = check_precisions(self._spec, device)
        self._weights = []
        for backbone, weights in weights_used(self._spec):
            check_weights(backbone, weights, image_size=self._spec.data.image_size)
            digest = weights_digest(backbone, weights)
            self._weights.append({"backbone": backbone, "weights": weights, "digest": digest})
        return cautions

    def prepare(self, progress: Progress) -> ImageSets:
        """Decode the admitted images, or find them decoded."""
        assert self._table is not None
        backbones = dict.fromkeys(str(backbone) for backbone, _ in weights_used(self._spec))
        self._data = prepare_for_backbones(
            self._table, self._spec.data, backbones, root=self._home.data, progress=progress
        )
        sets = {name: self._image_set(prepared) for name, prepared in self._data.items()}
        skipped = next(iter(self._data.values())).skipped
        summary = summarize_data(self._data.values()) | source_facts(self._table)
        summary |= {"weights": self._weights, "versions": training_versions()}
        return ImageSets(
            by_backbone=sets,
            summary=summary,
            skipped=skipped,
            labels=self._labels(),
            own_code=code_digests(names_of_parts(self._spec)),
        )

    def _image_set(self, prepared: PreparedData) -> ImageSet:
        spec = self._spec
        reference = ImagesReference.describe(prepared, spec.data, base_dir=spec.folder, backbones=self._data)
        return ImageSet(folder=str(prepared.folder), split_key=prepared.split_key, reference=vars(reference))

    def _labels(self) -> dict[str, str]:
        """Return the labels of val, confirmation and test images, packed; they are the same for all backbones."""
        data = next(iter(self._data.values()))
        return {split: pack_labels(data.labels[data.splits[split]]) for split in ("val", "confirm", "test")}

    def measure_models(self, progress: Progress) -> Json:
        """Measure the costs of every model that a trial can have."""
        (classes,) = {len(data.classes) for data in self._data.values()}
        return measure_models(self._spec, classes, progress).as_json()

    def load(self, best: Trial, sharing: Json) -> None:
        """Load the model of a trial as its best epoch left it."""
        data = self._data[best.recipe["backbone"]]
        self._best = best_trainer(best, data, SharingSettings(**sharing))

    def predict(self, split: str) -> Json | None:
        """Return the loaded model's predictions and metrics on a split's images; None if there are none."""
        assert self._best is not None
        if len(self._best.data.splits[split]) == 0:
            return None
        evaluation = add_own_metrics(self._best.evaluate(split), own_metrics(self._spec))
        return {
            "epoch": self._best.epoch,
            "images": len(evaluation.labels),
            "packed": pack(evaluation.probabilities, evaluation.labels),
            "read_at": now_ms(),
            "metrics": dict(evaluation.metrics),
        }


def configure_process(*, debug: bool) -> None:
    """Set up a helper's process: its logs, and one core, as for a trial's process."""
    configure_helper_logs(debug=debug)
    torch.set_num_threads(1)
