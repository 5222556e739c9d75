import random
from typing import Any

import pytest

from search_spaces import PARAMETERS, SHIPPED, Recipe, SpecError, parse_space, sample


def refused(document: Any) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        parse_space(document)
    return {problem.path: problem.rule for problem in caught.value.problems}


def test_a_branch_opens_its_own_choices() -> None:
    space = parse_space(
        {
            "optimizer": {
                "one_of": [
                    {"name": "nesterov", "lr": {"min": 1e-4, "max": 0.1, "log": True}, "momentum": 0.9},
                    {"name": "adamw", "lr": {"min": 1e-5, "max": 3e-3, "log": True}},
                ]
            }
        }
    )
    assert [entry.key for entry in space.entries if entry.name in (None, "optimizer.lr")] == [
        "optimizer",
        "optimizer[nesterov].lr",
        "optimizer[adamw].lr",
    ]
    drawn = [space.recipe(sample(space, random.Random(seed))) for seed in range(40)]
    assert {recipe.optimizer.name for recipe in drawn} == {"nesterov", "adamw"}
    assert all(recipe.optimizer.lr <= 3e-3 for recipe in drawn if recipe.optimizer.name == "adamw")


def test_a_condition_keeps_a_name_at_its_default_elsewhere() -> None:
    space = parse_space(
        {
            "augment.policy": {"values": ["none", "flip"]},
            "dropout.rate": {"value": 0.5, "when": {"augment.policy": "flip"}},
        }
    )
    for seed in range(20):
        recipe = space.recipe(sample(space, random.Random(seed)))
        assert recipe.dropout.rate == (0.5 if recipe.augment.policy == "flip" else 0.0)


def test_an_optimizers_own_name_is_drawn_only_for_it() -> None:
    space = parse_space({"optimizer": {"name": {"values": ["sgd", "momentum"]}, "momentum": {"values": [0.5, 0.9]}}})
    assert space.size() == 3
    assert space.contains(Recipe.from_flat({"optimizer.name": "sgd"}))


def test_a_name_below_another_may_come_first_in_the_file() -> None:
    space = parse_space(
        {
            "freeze_depth": {"min": 0, "max": 5},
            "optimizer.lr": {"min": 2e-3, "max": 0.1},
            "optimizer.name": "sgd",
            "backbone": "torchvision/resnet18",
        }
    )
    default = space.recipe(space.default())
    assert (default.freeze_depth, default.optimizer.lr) == (5, 0.01)


def test_defaults_come_from_the_domain_then_the_vocabulary_then_the_list() -> None:
    space = parse_space(
        {
            "dropout.rate": {"min": 0.0, "max": 0.6, "default": 0.2},
            "batch_size": {"values": [16, 32]},
            "augment.policy": {"values": ["flip", "color"]},
            "optimizer": {"one_of": [{"name": "sgd"}, {"name": "adam"}], "default": "adam"},
            "freeze_depth": {"min": 0, "max": 9},
        }
    )
    default = space.recipe(space.default()).flat()
    assert default["dropout.rate"] == 0.2
    assert default["batch_size"] == 32
    assert default["augment.policy"] == "flip"
    assert default["optimizer.name"] == "adam"
    assert default["freeze_depth"] == 9


def test_membership_does_not_depend_on_how_a_depth_is_written() -> None:
    space = parse_space({"freeze_depth": {"values": ["all", -1]}})
    assert space.contains(Recipe(freeze_depth=8))
    assert space.contains(Recipe(freeze_depth=9))
    assert not space.contains(Recipe(freeze_depth=7))
    assert not space.contains(Recipe.from_flat({"dropout.rate": 0.1}))


def test_labels_stay_unique_where_two_branches_have_one_name() -> None:
    space = parse_space(
        {"optimizer": {"one_of": [{"name": "sgd", "lr": 0.1}, {"name": "sgd", "lr": 0.01}, {"lr": 1e-3}]}}
    )
    assert space.size() == 3
    assert space.entries[0].domain.contains("sgd#1")


@pytest.mark.parametrize(
    ("document", "path", "rule"),
    [
        (3, "space", "must be a mapping"),
        ({"droput.rate": 0.1}, "space.droput", "unknown name; did you mean dropout?"),
        ({"dropout": {"rte": 0.1}}, "space.dropout.rte", "unknown name; did you mean rate?"),
        ({"optimizer": "adamw"}, "space.optimizer", "must be a mapping; its names are optimizer.name, "),
        ({"optimizer.one_off": []}, "space.optimizer.one_off", "unknown name; did you mean one_of?"),
        (
            {"dropout.rate": {"maxx": 1, "value": 0}},
            "space.dropout.rate.maxx",
            "unknown key; did you mean max?",
        ),
        ({"dropout.rate": {}}, "space.dropout.rate", "needs one of value, values, or min and max"),
        (
            {"dropout.rate": {"value": 0, "min": 0}},
            "space.dropout.rate",
            "needs one of value, values, or min and",
        ),
        ({"dropout.rate": {"min": 0}}, "space.dropout.rate.max", "is required"),
        ({"dropout.rate": {"min": 0, "max": 1}}, "space.dropout.rate.max", "must be < 1"),
        ({"dropout.rate": {"min": 0, "max": True}}, "space.dropout.rate.max", "must be a number"),
        ({"dropout.rate": {"min": 0.3, "max": 0.1}}, "space.dropout.rate.max", "must be > min"),
        (
            {"dropout.rate": {"min": 0, "max": 0.5, "log": True}},
            "space.dropout.rate.min",
            "must be > 0 if log",
        ),
        (
            {"dropout.rate": {"min": 0, "max": 0.5, "log": 1}},
            "space.dropout.rate.log",
            "must be true or false",
        ),
        ({"dropout.rate": {"min": 0, "max": 0.5, "int": True}}, "space.dropout.rate.int", "must be false"),
        (
            {"optimizer.lr": {"min": 0.001, "max": 0.5, "log": True, "step": 0.1}},
            "space.optimizer.lr.step",
            "must not be given if log is true",
        ),
        ({"dropout.rate": [0, 0.1]}, "space.dropout.rate", "put a list under values"),
        ({"dropout.rate": {"values": 3}}, "space.dropout.rate.values", "must be a list of values"),
        ({"dropout.rate": {"values": [0, 0.0]}}, "space.dropout.rate.values", "must not contain a value twice"),
        ({"dropout.rate": {"values": [0, 2]}}, "space.dropout.rate.values[1]", "must be < 1"),
        (
            {"dropout.rate": {"values": [0], "default": 0.1}},
            "space.dropout.rate.default",
            "must lie in the domain",
        ),
        ({"augment.policy": {"min": 0, "max": 1}}, "space.augment.policy", "is not a number"),
        ({"augment.policy": "flop"}, "space.augment.policy", "unknown augment.policy; did you mean flip?"),
        ({"batch_size": {"values": [32, 64.5]}}, "space.batch_size.values[1]", "must be an integer"),
        ({"freeze_depth": {"values": ["al"]}}, "space.freeze_depth.values[0]", "must be an integer or all"),
        ({"freeze_depth": {"min": 0, "max": "all"}}, "space.freeze_depth.max", "must be an integer"),
        ({"freeze_depth": {"values": ["all", -10]}}, "space.freeze_depth.values[1]", "must lie in -9..9"),
        (
            {"backbone": "torchvision/resnet18", "freeze_depth": 6},
            "space.freeze_depth",
            "torchvision/resnet18 has 5 stages",
        ),
        ({"optimizer.lr": {"min": 0.1, "max": 0.2}}, "space.optimizer.lr", "needs a default"),
        ({"optimizer.betas": {"min": 0, "max": 0.5}}, "space.optimizer.betas", "is not a number"),
        (
            {"optimizer": {"name": "sgd", "momentum": 0.9}},
            "space.optimizer.momentum",
            "is used only by momentum, nesterov, which this space never draws with it",
        ),
        (
            {"optimizer": {"one_of": [{"name": "momentum"}, {"name": "adamw", "momentum": 0.9}]}},
            "space.optimizer.one_of[1].momentum",
            "is used only by momentum, nesterov",
        ),
        ({"optimizer.momentum": 0.9}, "space.optimizer.momentum", "is used only by momentum, nesterov"),
        (
            {"optimizer": {"lr": 0.1, "one_of": [{"name": "sgd", "lr": 0.2}]}},
            "space.optimizer.one_of[0].lr",
            "gives optimizer.lr twice: it may be drawn together with optimizer.lr",
        ),
        ({"optimizer": {"lr": 0.1}, "optimizer.lr": 0.2}, "space.optimizer.lr", "is given twice"),
        ({"optimizer": {"one_of": []}}, "space.optimizer.one_of", "must be a list of mappings"),
        ({"optimizer": {"one_of": [3]}}, "space.optimizer.one_of[0]", "must be a mapping"),
        (
            {"optimizer": {"one_of": [{"name": "sgd"}], "default": "adam"}},
            "space.optimizer.default",
            "must name a branch",
        ),
        ({"optimizer": {"default": "adam"}}, "space.optimizer.default", "belongs beside one_of"),
        ({"dropout.rate": {"value": 0, "when": 3}}, "space.dropout.rate.when", "must be a mapping"),
        (
            {"dropout.rate": {"value": 0, "when": {"optimizer.nam": "sgd"}}},
            "space.dropout.rate.when.optimizer.nam",
            "unknown name; did you mean optimizer.name?",
        ),
        (
            {"optimizer.name": "adam", "dropout.rate": {"value": 0, "when": {"optimizer.name": "sgd"}}},
            "space.dropout.rate.when.optimizer.name",
            "is a value that optimizer.name never has here",
        ),
        (
            {"dropout.rate": {"value": 0, "when": {"batch_size": 64}}},
            "space.dropout.rate.when.batch_size",
            "is a value that batch_size never has here; it is always 32",
        ),
        (
            {
                "optimizer": {"one_of": [{"name": "sgd"}, {"name": "adam", "eps": {"value": 1e-6}}]},
                "dropout.rate": {"value": 0, "when": {"optimizer.name": "sgd", "optimizer.eps": 1e-6}},
            },
            "space.dropout.rate",
            "can never be drawn: its conditions exclude each other",
        ),
        ({"extends": "lecture"}, "space.extends", "must be a shipped space; did you mean lecture7?"),
        ({"extends": ["lecture7"]}, "space.extends", "must be a shipped space"),
    ],
)
def test_a_space_that_cannot_be_says_where_and_why(document: Any, path: str, rule: str) -> None:
    rules = refused(document)
    assert rule in rules[path]
    assert len(rules) == 1


def test_conditions_in_a_circle_are_refused() -> None:
    rules = refused(
        {
            "dropout.rate": {"values": [0, 0.1], "when": {"batch_size": 8}},
            "batch_size": {"values": [8, 16], "when": {"dropout.rate": 0}},
        }
    )
    circle = "is part of circular conditions: batch_size, dropout.rate"
    assert rules == {
        "space.dropout.rate.when.batch_size": circle,
        "space.batch_size.when.dropout.rate": circle,
    }


def test_all_problems_of_a_space_are_reported_at_once() -> None:
    rules = refused(
        {
            "optimizer": {"one_of": [{"name": "sgd", "lr": {"min": 0.1, "max": 0.01}}, {"name": "foo"}]},
            "batch_size": -1,
            "freeze_depth": -10,
        }
    )
    assert set(rules) == {
        "space.optimizer.one_of[0].lr.max",
        "space.optimizer.one_of[1].name",
        "space.batch_size",
        "space.freeze_depth",
    }


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_space_samples_valid_recipes(name: str) -> None:
    space = parse_space({"extends": name})
    for seed in range(50):
        assert space.contains(space.recipe(sample(space, random.Random(seed))))


def test_lecture7_draws_the_six_optimizers_and_the_five_augmentations() -> None:
    space = parse_space({"extends": "lecture7"})
    drawn = [space.recipe(sample(space, random.Random(seed))) for seed in range(300)]
    assert {recipe.optimizer.name for recipe in drawn} == {
        "sgd",
        "momentum",
        "nesterov",
        "adagrad",
        "rmsprop",
        "adam",
    }
    assert {recipe.augment.policy for recipe in drawn} == set(PARAMETERS["augment.policy"].choices)
    assert {recipe.freeze_depth for recipe in drawn} == {9, 8, 7, 6, 0}
    assert {recipe.schedule.name for recipe in drawn} == {"constant", "step", "exponential", "1/t"}
    assert {recipe.penalty.name for recipe in drawn} == {"none", "l1", "l2", "elastic"}
    assert {recipe.dropout.kind for recipe in drawn} == {"none", "dropout", "dropconnect"}
    assert {recipe.head.pool for recipe in drawn} == {"backbone", "fractional_max"}


def test_keys_below_extends_replace_its_keys() -> None:
    space = parse_space({"extends": "lecture7", "freeze_depth": -1, "optimizer": {"lr": 0.05}})
    recipes = [space.recipe(sample(space, random.Random(seed))) for seed in range(60)]
    assert {recipe.freeze_depth for recipe in recipes} == {8}
    assert {recipe.optimizer.lr for recipe in recipes} == {0.05}
    assert len({recipe.optimizer.name for recipe in recipes}) == 6


def test_a_one_of_replaces_everything_under_its_name() -> None:
    space = parse_space({"extends": "lecture7", "optimizer": {"one_of": [{"name": "adamw"}, {"name": "sgd"}]}})
    recipes = [space.recipe(sample(space, random.Random(seed))) for seed in range(20)]
    assert {recipe.optimizer.name: recipe.optimizer.lr for recipe in recipes} == {"adamw": 1e-3, "sgd": 0.01}


def test_a_name_over_extends_chooses_among_its_branches() -> None:
    space = parse_space({"extends": "lecture7", "optimizer.name": {"values": ["adam", "sgd"]}})
    recipes = [space.recipe(sample(space, random.Random(seed))) for seed in range(40)]
    assert {recipe.optimizer.name for recipe in recipes} == {"adam", "sgd"}
    assert len({recipe.optimizer.lr for recipe in recipes}) == 40
    rules = refused({"extends": "lecture7", "optimizer.name": "adamw"})
    assert "must name a branch of the extended space; give optimizer.one_of" in rules["space.optimizer.name"]
