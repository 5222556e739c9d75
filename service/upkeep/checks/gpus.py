"""GPUs that torch can use."""

from __future__ import annotations

from collections.abc import Iterator

from search_spaces.documents import format_size
from service.upkeep.checks.findings import Finding, Surroundings, problem

__all__ = ["check_gpus"]


def check_gpus(_surroundings: Surroundings) -> Iterator[Finding]:
    """List the GPUs, and compare those that the driver lists with those that torch can use."""
    import torch

    from service.clusters import TRIALS_A_GPU
    from trainables.devices import find_gpus
    from trainables.devices.precision import has_bf16_instructions

    listed, usable = find_gpus(), torch.cuda.device_count()
    for gpu in listed:
        text = f"{gpu.name}, {format_size(gpu.free)} of {format_size(gpu.memory)} free, driver {gpu.driver}"
        yield Finding(name="gpu", text=text)
    if len(listed) > usable:
        needs = f"a driver for CUDA {torch.version.cuda}" if torch.version.cuda else "torch with CUDA"
        yield problem("gpu", f"torch can use {usable} of these {len(listed)}", f"install {needs}")
    elif not usable:
        formats = "which has bf16 instructions" if has_bf16_instructions() else "which is slow in bf16: use fp32"
        yield Finding(name="gpu", text=f"none: trials train on the CPU, {formats}")
    elif not listed:
        text = f"torch can use {usable}, which NVIDIA's driver does not list: at most {TRIALS_A_GPU} trials share one"
        yield Finding(name="gpu", text=text)
