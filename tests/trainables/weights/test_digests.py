from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from trainables.architectures import find_architecture
from trainables.errors import NodeError
from trainables.weights.digests import check_weights_digest, weights_digest

RESNET18 = "torchvision/resnet18"


def saved(tensors: dict[str, Tensor], path: Path) -> str:
    save_file(tensors, path)
    return str(path)


def test_the_digest_is_of_the_tensors_and_not_of_the_file(tmp_path: Path) -> None:
    tensors = dict(find_architecture(RESNET18).build().state_dict())
    digest = weights_digest(RESNET18, saved(tensors, tmp_path / "a.safetensors"))
    assert digest is not None
    assert len(digest) == 64

    with_head = {name: torch.zeros_like(t) if name.startswith("fc.") else t for name, t in tensors.items()}
    assert weights_digest(RESNET18, saved(with_head, tmp_path / "b.safetensors")) == digest
    changed = {name: t.clone() for name, t in tensors.items()}
    changed["conv1.weight"][0, 0, 0, 0] += 1
    other = saved(changed, tmp_path / "c.safetensors")
    assert weights_digest(RESNET18, other) != digest

    check_weights_digest(RESNET18, str(tmp_path / "b.safetensors"), digest, node="n7")
    with pytest.raises(
        NodeError, match=rf"node n7: the weights {re.escape(other)} of {RESNET18} are not those .* on e"
    ):
        check_weights_digest(RESNET18, other, digest, node="n7")


def test_random_weights_have_no_digest() -> None:
    assert weights_digest(RESNET18, "random") is None
