"""The examples do what their comments say; tests/end_to_end runs some of them to their ends."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from search_spaces import load_spec
from service.searchers import build_searcher
from trainables.datasets.sources import load_table
from trainables.datasets.splits import assign_splits

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_every_example_is_listed() -> None:
    page = (EXAMPLES / "README.md").read_text()
    assert [file for file in EXAMPLES.rglob("*.yaml") if f"({file.relative_to(EXAMPLES)})" not in page] == []


def test_points_are_tried_in_their_order_with_the_baseline_first() -> None:
    spec = load_spec(EXAMPLES / "points_against_a_baseline.yaml")
    searcher = build_searcher(spec)
    proposals = [searcher.propose(number) for number in range(4)]
    assert proposals[-1] is None
    names = [proposal.recipe.flat()["optimizer.name"] for proposal in proposals if proposal is not None]
    assert names == ["sgd", "adamw", "nesterov"]


def test_known_recipes_come_before_the_default_and_the_search() -> None:
    spec = load_spec(EXAMPLES / "known_recipes_first.yaml")
    searcher = build_searcher(spec)
    recipes = [proposal.recipe for number in range(4) if (proposal := searcher.propose(number)) is not None]
    assert recipes[:2] == list(spec.first_points)
    assert recipes[0].flat()["optimizer.weight_decay"] == 5e-4
    assert recipes[2] == spec.space.recipe(spec.space.default())
    assert len(set(recipes)) == 4


def test_a_group_of_the_manifest_stays_in_one_split(tmp_path: Path) -> None:
    spec = load_spec(EXAMPLES / "manifest_with_groups.yaml")
    (tmp_path / "cells").mkdir()
    rows = ["image,label,patient"]
    for number in range(60):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "cells" / f"{number}.png")
        rows.append(f"{number}.png,{'sick' if number % 2 else 'well'},p{number // 4}")
    (tmp_path / "cells" / "list.csv").write_text("\n".join(rows))
    table = load_table(spec.data.source, base_dir=tmp_path, group=spec.data.split.group)
    splits = assign_splits(table.labels, classes=table.classes, split=spec.data.split, groups=table.groups)
    for patient in range(15):
        assert len(set(splits[patient * 4 : patient * 4 + 4])) == 1
    assert set(splits) == {"train", "val", "confirm", "test"}
