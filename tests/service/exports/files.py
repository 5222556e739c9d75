"""Recipe files for tests."""

from __future__ import annotations

from typing import Any

from search_spaces import Recipe
from search_spaces.spaces import write_point
from service.exports.recipe_files import FORMAT, RecipeFile

CELLS = {"name": "cells", "source": "cells", "image_size": 64, "interpolation": "bilinear", "classes": ["bad", "good"]}
SPLIT = {"val": 0.2, "confirm": 0.1, "test": 0.2, "seed": 0, "group": None}


def recipe_file(values: dict[str, Any] | None = None, *, epochs: int = 6, metric: str = "val/accuracy") -> RecipeFile:
    """Return an unconfirmed recipe file with these hyperparameters by dotted name."""
    recipe = Recipe.from_flat(values or {})
    return RecipeFile.from_data(
        {
            "format": FORMAT,
            "chosen": {
                "how": "unconfirmed",
                "because": "the best of 12 trials",
                "sweep": "s-7f3a9c",
                "name": "cells",
                "trial": "s-7f3a9c-0004",
                "trials": 12,
            },
            "recipe": write_point(recipe.flat()),
            "backbone": {"name": recipe.backbone, "stages": 9, "frozen_stages": recipe.freeze_depth},
            "data": CELLS | {"split": SPLIT},
            "training": {
                "epochs": epochs,
                "metric": metric,
                "goal": "minimize" if metric == "val/loss" else "maximize",
                "seeds": [7],
                "best_epochs": [4],
                "full_data_epochs": 4,
            },
            "score": {"measure": metric.partition("/")[2], "split": "val", "images": 120, "value": 0.85},
            "versions": {"meltpoint": "0.1.0"},
            "command": "meltpoint train recipe.yaml",
            "claim": "0",
        }
    ).signed()
