"""Everything that a training by a recipe needs, checked against what the recipe was chosen on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from search_spaces import DataSpec, Recipe, SplitSpec
from search_spaces.sweeps import DataColumns
from service.exports import RecipeFile
from service.plans.sharing import share_alone
from service.settings import Home
from service.trainings.requests import TrainingListener, TrainingRequest
from trainables.activations import SharingSettings
from trainables.augmentations import find_policy
from trainables.classifiers import check_drop_path, check_own_export, check_pool
from trainables.datasets.arrays import ARRAYS_SUFFIX
from trainables.datasets.manifests import MANIFEST_SUFFIXES
from trainables.errors import DataError
from trainables.own_code import load_own, make_importable
from trainables.stores.prepared import PreparedData, prepare_for_backbones, read_table
from trainables.stores.writers import hex_digest
from trainables.training import own_metric_names
from trainables.weights.digests import weights_digest
from trainables.weights.weights import check_weights

__all__ = ["Prepared", "prepare_training"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """The parts of a training.

    obstacles: why the recipe's expected score says nothing about it, apart from changes of the file by hand.
    """

    data: PreparedData
    recipe: Recipe
    device: str
    sharing: SharingSettings
    obstacles: tuple[str, ...]


def prepare_training(request: TrainingRequest, home: Home, listener: TrainingListener) -> Prepared:
    """Check own code, data and weights, decode the images, and compare all with what the recipe was chosen on.

    Raises:
        DataError, WeightsError, OwnCodeError, MeltpointError: the training cannot run.
    """
    file, recipe = request.file, request.file.hyperparameters
    folder = request.path.absolute().parent
    recipe = recipe.anchored(folder)
    device = "cuda" if torch.cuda.device_count() else "cpu"
    _check_parts(file, recipe, folder)
    listener.working("checking the weights")
    check_weights(recipe.backbone, recipe.weights, image_size=file.data.image_size)
    listener.working("reading the images")
    data = _prepare_images(request, recipe, folder, home, listener)
    obstacles = tuple(_obstacles(request, recipe, data))
    if request.full_data:
        data = with_all_but_test(data)
    sharing = share_alone(recipe, home, scope=f"train-{secrets.token_hex(4)}")
    return Prepared(data=data, recipe=recipe, device=device, sharing=sharing, obstacles=obstacles)


def with_all_but_test(data: PreparedData) -> PreparedData:
    """Return the same data with the images of train, val and confirm in train."""
    rows = np.sort(np.concatenate([data.splits[split] for split in ("train", "val", "confirm")]))
    nothing = np.empty(0, dtype=np.int64)
    splits = {"train": rows, "val": nothing, "confirm": nothing, "test": data.splits["test"]}
    return replace(data, splits=splits, digest=hex_digest(data.digest, "all but test"))


def _check_parts(file: RecipeFile, recipe: Recipe, folder: Path) -> None:
    """Check own code, and that the backbone has what head and dropout need. Raises OwnCodeError, MeltpointError."""
    code = Path(file.code) if file.code is not None else folder
    make_importable(code if code.is_dir() else folder)
    for name in own_metric_names(file.training.metric):
        load_own(name, "metric")
    find_policy(recipe.augment.policy)
    check_own_export(recipe.backbone, file.data.image_size)
    if recipe.dropout.drop_path:
        check_drop_path(recipe.backbone)
    if recipe.head.pool != "backbone":
        check_pool(recipe.backbone, recipe.head, file.data.image_size)


def _prepare_images(
    request: TrainingRequest, recipe: Recipe, folder: Path, home: Home, listener: TrainingListener
) -> PreparedData:
    spec, start = _data_spec(request), folder if request.data is None else Path.cwd()
    try:
        table = read_table(spec, base_dir=start, root=home.data)
    except DataError as error:
        if request.data is not None:
            raise
        raise DataError(f"{error}; if the images lie elsewhere, give their place with --data") from None
    made = prepare_for_backbones(table, spec, [recipe.backbone], root=home.data, progress=listener.images_decoded)
    data = made[recipe.backbone]
    for name, reason in data.skipped:
        listener.notice(f"skipped {name}: {reason}")
    return data


def _data_spec(request: TrainingRequest) -> DataSpec:
    used = request.file.data
    split = used.split.model_dump()
    has_columns = request.data is None or request.data.lower().endswith(MANIFEST_SUFFIXES)
    has_arrays = request.data is not None and request.data.lower().endswith(ARRAYS_SUFFIX)
    if not has_columns:
        split["group"] = None  # only a manifest has columns
    return DataSpec(
        source=used.source if request.data is None else request.data,
        root=used.root if request.data is None else None,
        layout=used.layout if request.data is None else None,
        columns=used.columns if has_columns or has_arrays else DataColumns(),
        split=SplitSpec(**split),
        image_size=used.image_size,
        interpolation=used.interpolation,
    )


def _obstacles(request: TrainingRequest, recipe: Recipe, data: PreparedData) -> Iterator[str]:
    """Yield why the recipe's expected score says nothing about this training."""
    file = request.file
    if file.data.digest is None:
        yield "the recipe has no digest of its images, by which they could be compared"
    elif data.digest != file.data.digest:
        yield _changed_images(request, data)
    digest = weights_digest(recipe.backbone, recipe.weights)
    if digest is not None and digest != file.backbone.weights_sha256:
        before = file.backbone.weights_sha256
        if before is None:
            yield "the recipe has no digest of its starting weights, by which they could be compared"
        else:
            yield f"the starting weights have changed: SHA-256 {digest[:16]}..., not {before[:16]}..."
    if request.full_data:
        yield "it is about trainings on the train split alone, and this one has all images but test"


def _changed_images(request: TrainingRequest, data: PreparedData) -> str:
    if request.data is not None:
        if list(data.classes) != request.file.data.classes:
            names, expected = _names(data.classes), _names(request.file.data.classes)
            return f"--data {request.data} has other classes than the sweep ({names}, not {expected})"
        return f"--data {request.data} has other images than the sweep"
    before = request.file.data.splits
    now = data.digests_by_split()
    changed = [split for split, about in now.items() if split in before and before[split].digest != about["digest"]]
    where = f" (in {', '.join(changed)})" if changed else ""
    return f"the images or their splits have changed since the sweep{where}"


def _names(classes: Sequence[str]) -> str:
    """Return how many classes there are, and the names of the first three."""
    more = ", ..." if len(classes) > 3 else ""
    return f"{len(classes)}: {', '.join(classes[:3])}{more}"
