"""The schema for editors agrees with `load_spec` about rules that concern one place of a sweep file."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest

from search_spaces import GROUPS, PARAMETERS, SHIPPED, SpecError, load_document, parse_spec, shipped_document
from search_spaces.schemas import sweep_schema
from search_spaces.sweeps import SECTIONS

ROOT = Path(__file__).parents[3]
SCHEMA = jsonschema.Draft7Validator(sweep_schema())
HEAD = "name: a\ndata: {source: digits}\n"


def sweep_files() -> dict[str, str]:
    """Return every sweep file in the examples and the documents."""
    texts = {file.name: file.read_text() for file in sorted((ROOT / "examples").rglob("*.yaml"))}
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL)):
            texts[f"{page.name} {number}"] = block
    return texts


def accepted(text: str) -> bool:
    return bool(SCHEMA.is_valid(load_document(text, "s.yaml").data))


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(sweep_schema())


@pytest.mark.parametrize("text", sweep_files().values(), ids=sweep_files().keys())
def test_every_sweep_file_shown_is_accepted(text: str) -> None:
    SCHEMA.validate(load_document(text, "s.yaml").data)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_space_is_accepted(name: str) -> None:
    SCHEMA.validate({"name": "a", "data": {"source": "digits"}, "space": shipped_document(name)})


@pytest.mark.parametrize(
    "text",
    [
        "space: {optimizer.lr.min: 1e-4, optimizer.lr.max: 0.1}",
        "space: {optimizer: {lr.value: 0.1, betas: [0.9, 0.99], when: {augment: {policy: none}}}}",
        "space: {optimizer.one_of: [{name: sgd}, {name: adamw}], optimizer.default: sgd}",
        "space: {freeze_depth: {values: [all, -1, 0], default: null}, batch_size: {min: 8, max: 64, step: 8}}",
        "space: {optimizer.betas: {values: [[0.9, 0.99], [0.9, 0.999]]}, weights: bodies/a.safetensors}",
        "space: {augment.policy: {values: [none, 'mine:vary']}}\nmetric: {name: 'mine:cost', goal: minimize}",
        "space: {augment.policy: {values: [none, flip]}, dropout.rate: {value: 0.1, when: {augment.policy: [flip]}}}",
        "space: {one_of: [{batch_size: 8}, {batch_size: 16, one_of: [{freeze_depth: all}, {freeze_depth: 0}]}]}",
        "search: {algorithm: points, points: [{optimizer.lr: 0.1}, {optimizer: {name: sgd, lr: 1}, freeze_depth: -1}]}",
        "space: {}\nmetric: [{name: val/loss, max: 0.4}, {name: latency_ms, max: 20}, {name: parameters, max: 5M}]",
        "space: {}\nmetric: [{name: val/accuracy, min: 0.9}]\nsearch: {from: [last, s-7f3a9c]}",
        "space: {}\nbudget: {wall: 1h30m, gpu_hours: 0.5, max_failed: null}\nresources: {cpu: 1, gpu: 0.25}",
        "space: {}\ndata: {source: photos, disk: 20G, memory: 1000000, split: {confirm: 0}}",
    ],
)
def test_what_is_valid_is_accepted(text: str) -> None:
    whole = text if "data:" in text else f"data: {{source: digits}}\n{text}"
    parse_spec(f"name: a\n{whole}", file="s.yaml")
    assert accepted(f"name: a\n{whole}")


@pytest.mark.parametrize(
    "text",
    [
        "space: {batch_sze: 32}",
        "space: {optimizer: {lrr: 0.1}}",
        "space: {optimizer.one_of: [{name: adamv}]}",
        "space: {backbone: resnet18}",
        "space: {extends: lecture8}",
        "space: {optimizer.lr: {min: 0.1}}",
        "space: {optimizer.lr: {min: 0.1, max: high}}",
        "space: {optimizer.lr: 0.1e4}",
        "space: {optimizer.lr: {value: 0.1, values: [0.1]}}",
        "space: {optimizer.lr: {value: 0.1, log: true}}",
        "space: {optimizer.lr: [0.1, 0.2]}",
        "space: {dropout: 0.5}",
        "space: {dropout.rate: 1.0}",
        "space: {dropout.rate: 0.1, batch_size: {value: 8, when: {dropout.rte: 0.1}}}",
        "space: {weights: weights.pth}",
        "space: {augment.policy: flop}",
        "space: {batch_size: -1}",
        "space: {}\nbudget: {trials: 0}",
        "space: {}\nbudget: {trials: many}",
        "space: {}\nbudget: {wall: 30 minutes}",
        "space: {}\nbudget: {gpu_hours: 0}",
        "space: {}\nresources: {gpu: half}",
        "space: {}\nresources: {cpu: 0}",
        "space: {}\nsearch: {seed: -1}",
        "space: {}\nsearch: {algorithm: annealing}",
        "space: {}\nmetric: {name: accuracy}",
        "space: {}\nmetric: []",
        "space: {}\nmetric: [{name: val/loss}, {name: parameters, max: 5Q}]",
        "space: {}\nsearch: {from: last}",
        "space: {}\nsearch: {from: []}",
        "space: {}\nschedular: {type: asha}",
        "space: {}\nscheduler: {type: asha, reduction_factor: 1}",
        "search: {algorithm: points, points: [{optimizer.lr: {min: 1, max: 2}}]}",
        "search: {algorithm: points, points: []}",
        "budget: {trials: 3}",
        "space: {}\nname: a b",
        "space: {}\ndata: {source: digits, image_size: 4}",
        "space: {}\ndata: {source: digits, split: {val: 0}}",
    ],
)
def test_what_is_wrong_in_one_place_is_refused(text: str) -> None:
    whole = text if "data:" in text else f"data: {{source: digits}}\n{text}"
    whole = whole if "name: a b" in whole else f"name: a\n{whole}"
    with pytest.raises(SpecError):
        parse_spec(whole, file="s.yaml")
    assert not accepted(whole)


def test_every_key_and_name_has_a_description() -> None:
    schema = sweep_schema()
    for key in (*SECTIONS, "name", "space"):
        assert schema["properties"][key]["description"]
    for key in SECTIONS:
        section = schema["properties"][key]
        mapping = section["anyOf"][0] if key == "metric" else section
        assert all(inner["description"] for inner in mapping["properties"].values()), key
    assert all(schema["definitions"][name]["description"] for name in (*PARAMETERS, *GROUPS))
