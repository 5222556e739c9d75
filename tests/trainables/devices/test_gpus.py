"""The list of GPUs, read from a fake of NVIDIA's library NVML."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from types import SimpleNamespace

import pynvml
import pytest

from trainables.devices import find_gpus
from trainables.devices.gpus import read_gpu_use

MIB = 1024**2
UUIDS = ("GPU-5ec01f7a", "GPU-aa2b9d11", "GPU-aa77c020")


class FakeNvml:
    """A driver with three cards; card 2 is half used. `broken`: index -> name of the call that fails."""

    def __init__(self, broken: Mapping[int, str] | None = None) -> None:
        self.broken = broken or {}
        self.opened = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = {
            "nvmlInit": self.init,
            "nvmlShutdown": self.shutdown,
            "nvmlSystemGetDriverVersion": lambda: "580.95.05",
            "nvmlDeviceGetCount": lambda: len(UUIDS),
            "nvmlDeviceGetHandleByIndex": lambda index: self.answer(index, "handle", index),
            "nvmlDeviceGetUUID": lambda index: UUIDS[index],
            "nvmlDeviceGetName": lambda index: f"NVIDIA H100 number {index}",
            "nvmlDeviceGetMemoryInfo": lambda index: self.answer(
                index,
                "memory",
                SimpleNamespace(
                    total=81559 * MIB,
                    free=(40000 if index == 2 else 81008) * MIB,
                    used=(41559 if index == 2 else 551) * MIB,
                ),
            ),
            "nvmlDeviceGetUtilizationRates": lambda index: self.answer(
                index, "utilization", SimpleNamespace(gpu=30 * index, memory=5)
            ),
        }
        for name, call in calls.items():
            monkeypatch.setattr(pynvml, name, call)

    def init(self) -> None:
        self.opened += 1

    def shutdown(self) -> None:
        self.opened -= 1

    def answer(self, index: int, call: str, value: object) -> object:
        if self.broken.get(index) == call:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return value


def names() -> list[int]:
    """Return the numbers of the listed cards, in order."""
    return [int(gpu.name.split()[-1]) for gpu in find_gpus()]


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    fake = FakeNvml()
    fake.install(monkeypatch)
    return fake


@pytest.mark.usefixtures("nvml")
def test_each_gpu_has_its_name_driver_and_memory_in_bytes() -> None:
    first, _, third = find_gpus()

    assert (first.name, first.driver) == ("NVIDIA H100 number 0", "580.95.05")
    assert (first.memory, first.free) == (81559 * MIB, 81008 * MIB)
    assert third.free == 40000 * MIB


def test_the_use_of_each_visible_gpu_is_read(nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    assert [(use.utilization, use.used, use.memory) for use in read_gpu_use()] == [
        (60.0, 41559 * MIB, 81559 * MIB),
        (0.0, 551 * MIB, 81559 * MIB),
    ]
    nvml.broken = {2: "utilization"}
    assert [use.utilization for use in read_gpu_use()] == [0.0]
    assert nvml.opened == 0


def test_the_driver_is_closed_after_each_call(nvml: FakeNvml) -> None:
    find_gpus()
    assert nvml.opened == 0


@pytest.mark.parametrize(
    ("visible", "listed"),
    [
        ("", []),
        ("-1", []),
        ("1", [1]),
        ("2, 0", [2, 0]),
        ("GPU-5ec01f7a", [0]),
        ("GPU-aa77,GPU-aa2b9d11", [2, 1]),
        ("0,7,1", [0]),
        ("0,-1,1", [0]),
        ("GPU-unknown,0", []),
        ("MIG-0f3c,0", []),
    ],
)
@pytest.mark.usefixtures("nvml")
def test_the_variable_chooses_as_in_cuda(visible: str, listed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert names() == listed


@pytest.mark.parametrize("call", ["handle", "memory"])
def test_a_card_that_does_not_answer_is_left_out_alone(call: str, nvml: FakeNvml) -> None:
    nvml.broken = {1: call}
    assert names() == [0, 2]


def test_without_a_driver_there_are_none(nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert find_gpus() == ()
    assert nvml.opened == 0


def test_listing_gpus_loads_no_torch() -> None:
    check = "import sys; from trainables.devices import find_gpus; find_gpus(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True)
