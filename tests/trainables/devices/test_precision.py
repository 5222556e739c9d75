"""Number formats: the CPUs on which bf16 is slow."""

from __future__ import annotations

import pytest
import torch

from search_spaces import parse_spec
from service.plans.admission import check_precisions
from trainables.devices.precision import describe_bf16, has_bf16_instructions

SPEC = """\
name: formats
data: {source: digits}
space: {precision: {values: [fp32, bf16]}}
budget: {trials: 2, epochs: 1}
"""


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False, "cpu_name": "bf16"}, False),
        ({"avx2": True, "avx512_bf16": True}, True),
        ({"neon": True, "bf16": True}, True),
        ({}, False),
    ],
)
def test_the_instructions_are_read_from_torch(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, object], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)

    assert has_bf16_instructions() is expected


def test_torch_names_the_capabilities_of_this_cpu() -> None:
    names = torch.cpu.get_capabilities()

    assert any("bf16" in name for name in names)


def test_bf16_on_a_cpu_is_cautioned_about_and_fp32_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})
    spec = parse_spec(SPEC, file="formats.yaml")

    assert check_precisions(spec, "cpu") == [
        "precision bf16 is many times slower than fp32 here, because this CPU has no bf16 instructions: use precision "
        "fp32"
    ]
    assert check_precisions(parse_spec(SPEC.replace(", bf16", ""), file="formats.yaml"), "cpu") == []
    assert describe_bf16("cuda", has_instructions=False) is None
    assert "compare the estimate" in str(describe_bf16("cpu", has_instructions=True))
