"""The images of a sweep as its models saw them, and its test images as another model saw its own."""

from __future__ import annotations

from pathlib import Path

from search_spaces.backbones import Interpolation
from service.errors import UsageError
from service.ledgers import Sweep, Trial
from service.settings import Home
from trainables.own_code import make_importable
from trainables.stores.prepared import PreparedData, prepare_data
from trainables.weights.digests import weights_digest

__all__ = ["SweepImages"]


class SweepImages:
    """The images of a sweep, decoded again if need be. They are checked against the digests in the ledger."""

    def __init__(self, sweep: Sweep, home: Home) -> None:
        self._sweep, self._home = sweep, home
        self._spec = sweep.read_spec()
        self.folder = self._spec.folder
        """The folder of the sweep file, from which own code is imported."""
        make_importable(Path(self.folder))

    def open_for(self, trial: Trial) -> PreparedData:
        """Return the images as the trial's backbone saw them.

        Raises:
            UsageError: images, labels, splits or the backbone's starting weights have changed since the sweep.
            DataError: they cannot be read.
        """
        recipe = trial.recipe
        data = self._spec.data.resized_for(str(recipe["backbone"]))
        assert data.interpolation != "auto"
        prepared = prepare_data(data, base_dir=Path(self.folder), root=self._home.data)
        before = self._sweep.data.get("resized", {}).get(prepared.interpolation, {}).get("digest")
        before = before or (self._sweep.data.get("digest") if not self._sweep.data.get("resized") else None)
        if before is not None and before != prepared.digest:
            raise UsageError(
                f"the images, labels or splits of {data.source} have changed since {self._sweep.id} "
                f"(digest {before[:12]}, now {prepared.digest[:12]}): run a new sweep on them"
            )
        self._check_weights(trial)
        return prepared

    def open_as(self, image_size: int, interpolation: Interpolation) -> PreparedData:
        """Return the same images, with the same splits, resized in another way."""
        data = self._spec.data.model_copy(update={"image_size": image_size, "interpolation": interpolation})
        return prepare_data(data, base_dir=Path(self.folder), root=self._home.data)

    def _check_weights(self, trial: Trial) -> None:
        """Refuse other starting weights, since a checkpoint leaves out frozen stages."""
        backbone, weights = str(trial.recipe["backbone"]), str(trial.recipe["weights"])
        known = self._sweep.weights_digest(backbone, weights)
        if known is not None and weights_digest(backbone, weights) != known:
            raise UsageError(
                f"the weights {weights} of {backbone} have changed since {self._sweep.id}: "
                "its models cannot be made again"
            )
