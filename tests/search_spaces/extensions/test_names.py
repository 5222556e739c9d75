from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import DataSpec, Recipe, SpecError, parse_spec
from search_spaces.documents import format_size, parse_size
from search_spaces.extensions import EXTENSIONS, is_function_name

HEAD = "name: x\ndata: {source: digits}\n"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a distribution on the path, in the form that pip installs, with an entry point of each kind."""
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    points = [f"[{extension.group}]\nmine_{kind} = mine:{kind}\n" for kind, extension in EXTENSIONS.items()]
    (info / "entry_points.txt").write_text("\n".join(points))
    monkeypatch.syspath_prepend(tmp_path)


def test_functions_are_named_by_module_and_name() -> None:
    assert all(map(is_function_name, ("a:b", "pack.age.module:function", "_x:_y")))
    assert not any(map(is_function_name, ("a", "a:", ":b", "a:b:c", "a/b:c", "C:\\x", "s3://a", "torchvision:CIFAR10")))


def test_an_own_augmentation_is_a_choice_like_others() -> None:
    recipe = Recipe.from_flat({"augment.policy": "my_views:turn"})
    assert recipe.augment.policy == "my_views:turn"
    assert recipe.identity != Recipe().identity
    spec = parse_spec(HEAD + 'space: {augment.policy: {values: [flip, "my_views:turn"]}}\n', file="s.yaml")
    assert spec.space.contains(Recipe.from_flat({"augment.policy": "my_views:turn"}))
    with pytest.raises(SpecError, match=r"unknown augment\.policy; did you mean flip\?"):
        parse_spec(HEAD + "space: {augment.policy: {values: [flop]}}\n", file="s.yaml")


def test_an_own_metric_needs_a_goal() -> None:
    spec = parse_spec(HEAD + 'space: {}\nmetric: {name: "my_metrics:cost", goal: minimize}\n', file="s.yaml")
    assert (spec.metric.name, spec.metric.goal) == ("val/my_metrics:cost", "minimize")
    for name in ("my_metrics:cost", "val/my_metrics:cost"):
        with pytest.raises(SpecError, match=r"s.yaml:4:.* metric: goal must say whether to maximize or minimize"):
            parse_spec(HEAD + f'space: {{}}\nmetric: {{name: "{name}"}}\n', file="s.yaml")


def test_entry_points_are_names_too(installed: None) -> None:
    assert Recipe.from_flat({"augment.policy": "mine_augmentation"}).augment.policy == "mine_augmentation"
    spec = parse_spec(HEAD + "space: {}\nmetric: {name: val/mine_metric, goal: maximize}\n", file="s.yaml")
    assert spec.metric.name == "val/mine_metric"
    with pytest.raises(SpecError, match=r"augment\.policy: must be one of none, flip"):
        Recipe.from_flat({"augment.policy": "mine_metric"})


@pytest.mark.parametrize(
    ("text", "count"),
    [("500M", 5e8), ("20G", 2e10), ("1.5TB", 1.5e12), ("16GiB", 2**34), ("2 kb", 2000), ("7", 7), (12345, 12345)],
)
def test_sizes_are_kept_in_bytes(text: object, count: float) -> None:
    assert parse_size(text) == count
    assert DataSpec.model_validate({"source": "x", "disk": text, "memory": text}).disk == count


@pytest.mark.parametrize("text", ["", "G", "-1G", "1X", "0", "0G", 0, -3, True, 1.5, None, "1e3"])
def test_other_sizes_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_size(text)


def test_sizes_are_shown_with_three_digits() -> None:
    assert [format_size(count) for count in (7, 999.6, 88.47e9, 1.5e12, 2e15)] == [
        "7 B",
        "1 KB",
        "88.5 GB",
        "1.5 TB",
        "2e+03 TB",
    ]


def test_a_wrong_size_is_placed() -> None:
    with pytest.raises(SpecError, match=r"s.yaml:2:.* data\.disk: must be a size such as 500M, 20G.* \(much\)"):
        parse_spec("name: x\ndata: {source: digits, disk: much}\nspace: {}\n", file="s.yaml")
