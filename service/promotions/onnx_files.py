"""A sweep's model as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from service.ledgers import Sweep
from service.models.rebuilt import best_model
from service.promotions.choices import choose_model
from service.promotions.images import SweepImages
from service.settings import Home
from trainables.classifiers.onnx_export import check_onnx_packages, write_onnx

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["export_onnx"]


def export_onnx(ledger: Ledger, home: Home, sweep: Sweep, file: Path) -> list[str]:
    """Write the model that `promote` would promote as an ONNX file; return sentences about the model and the file.

    A search that was not confirmed gives its best model, and the first sentence says so.

    Raises:
        UsageError: the sweep is under way or has no model, or its images or weights have changed.
        ExportError: a package is missing, or the model cannot be expressed in ONNX.
    """
    check_onnx_packages()
    chosen = choose_model(ledger, sweep, unconfirmed=True)
    trial = ledger.trials.get(chosen.trial_id)
    data = SweepImages(sweep, home).open_for(trial)
    size = int(data.images.shape[1])
    metadata = {
        "classes": list(data.classes),
        "image_size": size,
        "interpolation": data.interpolation,
        "recipe": trial.recipe,
        "sweep": sweep.id,
        "trial": trial.id,
        "chosen": chosen.headline,
    }
    difference = write_onnx(
        best_model(trial, data), file, image_size=size, interpolation=data.interpolation, metadata=metadata
    )
    return [
        chosen.headline,
        f"{file}: the model of {trial.id}; its probabilities differ by at most {difference:.1g} from the model's",
        f"classes in order: {', '.join(data.classes)}",
    ]
