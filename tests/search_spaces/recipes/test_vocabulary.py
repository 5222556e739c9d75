import pytest

from search_spaces import GROUPS, PARAMETERS, Recipe

COMPANIONS: dict[object, dict[str, object]] = {
    "lbfgs": {"batch_size": 0},
    "snapshot": {"schedule.name": "cosine_restarts"},
}
"""Values that a choice needs beside it."""
CHOICES = [
    (name, choice)
    for name, parameter in PARAMETERS.items()
    if any(other.active_for and other.active_for[0] == name for other in PARAMETERS.values())
    for choice in parameter.choices
]


def flat_with(name: str, choice: str) -> dict[str, object]:
    return dict(Recipe.from_flat({name: choice, **COMPANIONS.get(choice, {})}).flat())


def test_the_vocabulary_is_every_name_of_every_recipe() -> None:
    assert {name for choice in CHOICES for name in flat_with(*choice)} == set(PARAMETERS)


@pytest.mark.parametrize(("decider", "choice"), CHOICES)
def test_a_name_is_used_exactly_where_it_says(decider: str, choice: str) -> None:
    flat = flat_with(decider, choice)
    for name, parameter in PARAMETERS.items():
        used = parameter.active_for is None or flat[parameter.active_for[0]] in parameter.active_for[1]
        assert (name in flat) == used, name
        if used and name not in (decider, "freeze_depth", *COMPANIONS.get(choice, {})):
            default = parameter.default(flat[parameter.decided_by] if parameter.decided_by else None)
            assert flat[name] == (list(default) if isinstance(default, tuple) else default), name


@pytest.mark.parametrize("parameter", PARAMETERS.values(), ids=list(PARAMETERS))
def test_every_name_is_explained_and_sourced(parameter: object) -> None:
    for field in ("description", "paper", "prefix"):
        assert getattr(parameter, field)


def test_bounds_are_those_that_the_recipe_enforces() -> None:
    assert (PARAMETERS["optimizer.lr"].bounds.gt, PARAMETERS["optimizer.lr"].bounds.le) == (0, 100)
    assert (PARAMETERS["optimizer.betas"].bounds.ge, PARAMETERS["optimizer.betas"].bounds.lt) == (0, 1)
    for name, parameter in PARAMETERS.items():
        if parameter.bounds.lt is not None and parameter.kind == "float":
            with pytest.raises(ValueError, match="must be <"):
                parameter.check(parameter.bounds.lt)
            inside = 1.5 if name == "head.pool_ratio" else 0.5
            assert parameter.check(inside) == inside, name


def test_kinds_follow_from_the_records() -> None:
    kinds = {name: parameter.kind for name, parameter in PARAMETERS.items()}
    assert kinds["backbone"] == kinds["optimizer.name"] == kinds["augment.policy"] == "choice"
    assert kinds["freeze_depth"] == "depth"
    assert kinds["optimizer.betas"] == "pair"
    assert kinds["batch_size"] == "int"
    assert kinds["weights"] == "str"
    assert set(GROUPS) == {name.partition(".")[0] for name in PARAMETERS if "." in name}
