import math

import pytest

from search_spaces import SpecError, load_document
from search_spaces.documents.reader import MAX_BYTES


def refused(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        load_document(text, "s.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1.0e-4", 1e-4),
        ("-1", -1),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        (".inf", math.inf),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    read = load_document(f"a: {text}", "s.yaml").data["a"]
    assert read == value
    assert type(read) is type(value)


def test_a_version_directive_does_not_bring_yaml_1_1_back() -> None:
    assert load_document("%YAML 1.1\n---\na: no\n", "s.yaml").data == {"a": "no"}


def test_every_key_and_entry_keeps_its_place() -> None:
    document = load_document("a:\n  b: [1, {c: 2}]\n", "s.yaml")
    assert document.data == {"a": {"b": [1, {"c": 2}]}}
    assert document.marks[("a", "b")] == (2, 3)
    assert document.marks[("a", "b", 0)] == (2, 7)
    assert document.marks[("a", "b", 1, "c")] == (2, 11)


def test_what_could_surprise_is_refused_with_its_place() -> None:
    assert refused("a: 1\nb: 2\na: 3\n") == "s.yaml:3:1 a: is given twice, first in line 1"
    assert refused("a: [1, 2\nb: 3").startswith("s.yaml:2:2: is not YAML: ")
    assert "must not have a tag" in refused("a: !!python/object:os.system {}")
    assert "must not have a tag" in refused("a: !!int 3")
    assert "must contain only one document" in refused("a: 1\n---\nb: 2\n")
    assert refused("a:\n  1: 2\n") == "s.yaml:2:3 a: has a key that is not text (1)"
    assert "is an alias, but no anchor above has this name" in refused("a: *b\n")
    assert "is an alias, but no anchor above has this name" in refused("a: &x [*x]\n")
    assert "is not YAML" in refused("a: \x00")
    assert "is a number with too many digits" in refused("a: " + "9" * 5000)


def test_all_duplicate_keys_are_named_at_once() -> None:
    assert len(refused("a: 1\na: 2\nb: {c: 1, c: 2}\n").splitlines()) == 2


def test_aliases_are_read_and_bounded() -> None:
    assert load_document("a: &x [1, 2]\nb: *x\n", "s.yaml").data == {"a": [1, 2], "b": [1, 2]}
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "must not contain more than" in refused("\n".join(levels))


def test_depth_and_size_are_bounded() -> None:
    assert "must not be nested deeper than 32" in refused("a: " + "[" * 5000 + "]" * 5000)
    aliased = "\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 60))])
    assert "must not be nested deeper than 32" in refused(aliased)
    assert "must be at most 1048576 bytes (1 MiB), but is 1048577; check" in refused("#" * (MAX_BYTES + 1))
