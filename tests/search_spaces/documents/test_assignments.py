"""`--set key=value`: the sweep that results, the messages for wrong assignments, and the text that is kept."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import SpecError, load_document, parse_spec
from search_spaces.documents import write_document, written_assignments

FILE = """\
name: a
data: {source: digits}
space:
  freeze_depth: all   # a linear probe
  optimizer.lr: {min: 1e-4, max: 1e-2, log: true}
  dropout: {rate: 0.1}
budget: {trials: 4, epochs: 3}
scheduler: {type: asha, grace_epochs: 2}
"""
BRANCHES = "space.optimizer={one_of: [{name: adamw}, {name: sgd}]}"


def refused(*assign: str, file: str = FILE) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_spec(file, file="s.yaml", assign=assign)
    return str(caught.value).splitlines()


def document(*assign: str) -> dict[str, Any]:
    return parse_spec(FILE, file="s.yaml", assign=assign).document


@pytest.mark.parametrize(
    ("assign", "space"),
    [
        ("space.optimizer.lr.max=0.05", {"optimizer.lr": {"min": 1e-4, "max": 0.05, "log": True}}),
        ("space.optimizer.lr=1e-3", {"optimizer.lr": 1e-3}),
        ("space.dropout.rate={min: 0, max: 0.5}", {"dropout": {"rate": {"min": 0, "max": 0.5}}}),
        ("space.mix.label_smoothing=0.1", {"mix": {"label_smoothing": 0.1}}),
        ("space.precision=bf16", {"precision": "bf16"}),
    ],
)
def test_a_name_is_found_however_the_file_spells_it(assign: str, space: dict[str, Any]) -> None:
    assert document(assign)["space"] == load_document(FILE, "s.yaml").data["space"] | space


def test_a_whole_group_takes_the_place_of_its_dotted_names_and_lists_are_indexed() -> None:
    spec = parse_spec(FILE, file="s.yaml", assign=[BRANCHES, "space.optimizer.one_of[1].lr=0.5"])
    assert spec.document["space"]["optimizer"] == {"one_of": [{"name": "adamw"}, {"name": "sgd", "lr": 0.5}]}
    assert "optimizer.lr" not in spec.document["space"]


def test_a_section_that_the_file_leaves_out_is_made() -> None:
    spec = parse_spec(FILE, file="s.yaml", assign=["search.seed=3", "budget.trials=64", "register.model=m"])
    assert (spec.seed, spec.budget.trials, spec.budget.epochs) == (3, 64, 3)
    assert spec.registration is not None


@pytest.mark.parametrize(
    ("assign", "message"),
    [
        ("budget.trils=64", "--set budget.trils=64: unknown key; did you mean trials?"),
        ("bugdet.trials=64", "--set bugdet.trials=64 bugdet: unknown key; did you mean budget?"),
        ("budget.trials=none", "--set budget.trials=none: must be an integer (none)"),
        ("budget.trials=", "--set budget.trials=: must be an integer (null)"),
        (
            "space.optimizer.lr.max=1e-5",
            "--set space.optimizer.lr.max=1e-5: must be > min (1e-05)",
        ),
        (
            "budget.epochs=1",
            "--set budget.epochs=1 scheduler.grace_epochs: must be <= budget.epochs, which is 1 (2)",
        ),
        (
            "budget.trials",
            "--set budget.trials: must be KEY=VALUE, such as budget.trials=64, space.optimizer.one_of[0].lr=0.01 or "
            "search.points[+]={}",
        ),
        ("space.precision=[a", "--set space.precision=[a: is not YAML: expected ',' or ']', but got '<stream end>'"),
        (
            "space.freeze_depth.values=[0]",
            "--set space.freeze_depth.values=[0]: space.freeze_depth is one value, all: give space.freeze_depth itself",
        ),
        (
            "space.optimizer.one_of[0].lr=1",
            "--set space.optimizer.one_of[0].lr=1: space.optimizer.one_of is not in the file, so it has no entries",
        ),
    ],
)
def test_what_is_wrong_with_an_assignment_names_it_and_not_the_file(assign: str, message: str) -> None:
    assert refused(assign) == [message]


def test_an_index_beyond_the_end_and_a_list_without_index_are_refused() -> None:
    there = "space.optimizer.one_of"
    assert refused(BRANCHES, f"{there}[2].lr=1") == [f"--set {there}[2].lr=1: {there} has 2 entries, counted from [0]"]
    assert refused(BRANCHES, f"{there}.lr=1") == [
        f"--set {there}.lr=1: {there} is a list: give an index, such as {there}[0]"
    ]


def test_the_files_own_problems_keep_their_line() -> None:
    file = FILE.replace("trials: 4", "trils: 4")
    assert refused("budget.epochs=0", file=file) == [
        "--set budget.epochs=0: must be >= 1 (0)",
        "s.yaml:7:10 budget.trils: unknown key; did you mean trials?",
    ]


def test_the_kept_text_is_what_is_run_and_holds_the_file_too() -> None:
    spec = parse_spec(FILE, file="s.yaml", assign=["budget.trials=64", "name=no"])
    again = parse_spec(spec.text, file="s.yaml")
    assert again == spec
    assert again.document == spec.document
    assert spec.text.startswith("# The sweep file with\n# --set budget.trials=64\n# --set name=no\n")
    assert "#   freeze_depth: all   # a linear probe\n" in spec.text
    assert parse_spec(FILE, file="s.yaml").text == FILE


def test_the_file_is_valid_or_not_after_the_assignments() -> None:
    incomplete = FILE.replace("data: {source: digits}\n", "")
    spec = parse_spec(incomplete, file="s.yaml", assign=["data.source=digits"])
    assert spec.data.source == "digits"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)


@given(data=DOCUMENTS)
def test_what_is_written_is_read_back_the_same(data: Any) -> None:
    assert load_document(write_document(data), "s.yaml").data == data


def test_the_assignments_of_a_kept_text_are_read_back() -> None:
    assert written_assignments(FILE) == []
    first = parse_spec(FILE, file="s.yaml", assign=["budget.trials=8", "space.dropout.rate=0.2", "name=a"])
    assert written_assignments(first.text) == ["budget.trials=8", "space.dropout.rate=0.2", "name=a"]


def test_a_text_that_was_changed_again_has_the_assignments_of_both_times_and_the_last_value() -> None:
    first = parse_spec(FILE, file="s.yaml", assign=["budget.trials=8", "space.dropout.rate=0.2"])
    second = parse_spec(first.text, file="s.yaml", assign=["budget.trials=16"])
    third = parse_spec(second.text, file="s.yaml", assign=["budget.max_failed=2"])
    written = written_assignments(third.text)
    assert written == ["space.dropout.rate=0.2", "budget.trials=16", "budget.max_failed=2"]
    assert parse_spec(FILE, file="s.yaml", assign=written).document == third.document


def test_comments_of_the_user_are_not_taken_for_assignments() -> None:
    assert written_assignments("# --set budget.trials=8\n" + FILE) == []
    kept = parse_spec(FILE + "# --set budget.trials=8\n", file="s.yaml", assign=["budget.epochs=4"]).text
    assert written_assignments(kept) == ["budget.epochs=4"]
