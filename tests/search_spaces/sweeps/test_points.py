"""Points that run before a search: partial ones, those outside the space, and recipe files in their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import SpecError, assign_recipes, load_spec, parse_spec
from search_spaces.documents import written_assignments

SPACE = """\
name: a
data: {source: digits}
space:
  optimizer:
    one_of:
      - {name: sgd, lr: {min: 1.0e-3, max: 1.0, log: true}}
      - {name: adamw, lr: {min: 1.0e-4, max: 1.0e-1, log: true}}
  dropout.rate: {values: [0.0, 0.2, 0.4], default: 0.2}
search: {algorithm: tpe, points: POINTS}
"""
RECIPE = "format: meltpoint-recipe-1\nrecipe: {optimizer: {name: sgd, lr: 0.3}, dropout: {rate: 0.4}}\n"


def refused(points: str) -> list[str]:
    with pytest.raises(SpecError) as error:
        parse_spec(SPACE.replace("POINTS", points), file="s.yaml")
    return [str(problem).partition(" ")[2] for problem in error.value.problems]


def test_a_partial_point_is_filled_from_the_spaces_default() -> None:
    spec = parse_spec(SPACE.replace("POINTS", "[{optimizer.name: sgd}, {dropout.rate: 0.4}]"), file="s.yaml")
    assert spec.points == ()
    assert [(recipe.optimizer.name, recipe.optimizer.lr) for recipe in spec.first_points] == [
        ("sgd", 0.01),
        ("adamw", 0.001),
    ]
    assert [recipe.dropout.rate for recipe in spec.first_points] == [0.2, 0.4]
    assert spec.budget.trials == 16, "points do not limit a search"
    listed = parse_spec(SPACE.replace("POINTS", "[{optimizer.name: sgd}]").replace("tpe", "points"), file="s.yaml")
    assert listed.points == spec.first_points[:1], "a partial point means the same in every algorithm"


@pytest.mark.parametrize(
    ("point", "problem"),
    [
        ("{dropout.rate: 0.3}", "search.points[1].dropout.rate: lies outside the space, which has 0.0, 0.2, 0.4 (0.3)"),
        (
            "{optimizer.lr: 7}",
            "search.points[1].optimizer.lr: lies outside the space, which has 0.001 to 1, log; or 0.0001 to 0.1, log "
            "(7.0)",
        ),
        (
            "{optimizer: {name: sgd, lr: 5.0e-4}}",
            "search.points[1].optimizer.lr: lies outside the space beside the point's other values, where it has 0.001 "
            "to 1, log (0.0005)",
        ),
        (
            "{batch_size: 64}",
            "search.points[1].batch_size: must be left at its default, because the space does not draw it (64)",
        ),
        ("best.yaml", "search.points[1]: must be a mapping of names to values (best.yaml)"),
    ],
)
def test_a_point_outside_the_space_is_named_with_its_value_and_the_range(point: str, problem: str) -> None:
    assert refused(f"[{{}}, {point}]") == [problem]


@pytest.mark.parametrize(
    "points", ["[{}, best.yaml]", "[ 'best.yaml' , {} ]", "\n  - {}\n  - best.yaml  # the best\n", '["best.yaml"]']
)
def test_a_recipe_file_stands_for_its_recipe_and_the_text_stands_alone(points: str, tmp_path: Path) -> None:
    (tmp_path / "best.yaml").write_text(RECIPE)
    text = SPACE.replace("search: {algorithm: tpe, points: POINTS}", f"search:\n  algorithm: tpe\n  points: {points}\n")
    (tmp_path / "sweep.yaml").write_text(text)
    spec = load_spec(tmp_path / "sweep.yaml")
    assert (spec.first_points[-1].optimizer.lr, spec.first_points[-1].dropout.rate) in [(0.3, 0.4), (0.001, 0.2)]
    assert sum(recipe.optimizer.lr == 0.3 for recipe in spec.first_points) == 1
    assert len(spec.text.splitlines()) == len(text.splitlines()), "later lines keep their numbers"
    (tmp_path / "best.yaml").unlink()
    assert parse_spec(spec.text, file="elsewhere.yaml").first_points == spec.first_points


def test_a_recipe_file_can_be_assigned_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "best.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.yaml").write_text(SPACE.replace("POINTS", "[{}]"))
    for assignment in ("search.points[+]=best.yaml", "search.points[0]=best.yaml", "search.points=[best.yaml]"):
        spec = load_spec(tmp_path / "sweep.yaml", [assignment])
        assert spec.first_points[-1].optimizer.lr == 0.3
    assert assign_recipes(["budget.trials=3", "search.seed=1"]) == ["budget.trials=3", "search.seed=1"]


@pytest.mark.parametrize(
    ("content", "rule"),
    [(None, "cannot be read: No such file"), ("name: a\n", "is none"), ("a: [", "is not YAML"), ("\xff", "not UTF-8")],
)
def test_a_file_that_is_no_recipe_is_named_with_its_line(content: str | None, rule: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "best.yaml").write_text(content, encoding="latin-1")
    (tmp_path / "sweep.yaml").write_text(SPACE.replace("POINTS", "[best.yaml]"))
    with pytest.raises(SpecError) as error:
        load_spec(tmp_path / "sweep.yaml")
    (problem,) = error.value.problems
    assert (problem.line, problem.path, problem.value) == (9, "search.points[0]", "best.yaml")
    assert rule in problem.rule
    with pytest.raises(SpecError, match="recipe file"):
        load_spec(tmp_path / "sweep.yaml", [f"search.points[0]={tmp_path}/best.yaml"])


def test_an_assignment_adds_to_a_list_and_each_of_several_counts() -> None:
    text = SPACE.replace("POINTS", "[{}]")
    given = ["search.points[+]={dropout.rate: 0.0}", "search.points[+]={dropout.rate: 0.4}", "budget.trials=3"]
    spec = parse_spec(text, file="s.yaml", assign=given)
    assert [recipe.dropout.rate for recipe in spec.first_points] == [0.2, 0.0, 0.4]
    assert written_assignments(spec.text) == given
    more = parse_spec(spec.text, file="s.yaml", assign=["search.points[+]={optimizer.name: sgd}", "budget.trials=9"])
    assert written_assignments(more.text) == [*given[:2], "search.points[+]={optimizer.name: sgd}", "budget.trials=9"]
    made = parse_spec("name: a\ndata: {source: digits}\n", file="s.yaml", assign=["search.algorithm=points", given[0]])
    assert made.points[0].dropout.rate == 0.0
    with pytest.raises(SpecError) as error:
        parse_spec(text, file="s.yaml", assign=["search.points[+]={dropout.rate: 0.3}"])
    assert str(error.value).startswith("--set search.points[+]={dropout.rate: 0.3} search.points[1].dropout.rate: lies")
    with pytest.raises(SpecError, match=r"name is one value|is one value"):
        parse_spec(text, file="s.yaml", assign=["name[+]=b"])
