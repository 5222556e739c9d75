import pytest

from search_spaces import GROUPS, PARAMETERS, Recipe


def test_the_vocabulary_is_every_name_of_every_recipe() -> None:
    names = {name for choice in PARAMETERS["optimizer.name"].choices for name in flat_names(choice)}
    assert names == set(PARAMETERS)


def flat_names(optimizer: str) -> set[str]:
    return set(Recipe.from_flat({"optimizer.name": optimizer}).flat())


@pytest.mark.parametrize("optimizer", PARAMETERS["optimizer.name"].choices)
def test_a_name_is_used_exactly_where_it_says(optimizer: str) -> None:
    flat = Recipe.from_flat({"optimizer.name": optimizer}).flat()
    for name, parameter in PARAMETERS.items():
        used = parameter.active_for is None or optimizer in parameter.active_for[1]
        assert (name in flat) == used
        if used and name not in ("optimizer.name", "freeze_depth"):
            default = parameter.default(optimizer)
            assert flat[name] == (list(default) if isinstance(default, tuple) else default)


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
            assert parameter.check(0.5) == 0.5, name


def test_kinds_follow_from_the_records() -> None:
    kinds = {name: parameter.kind for name, parameter in PARAMETERS.items()}
    assert kinds["backbone"] == kinds["optimizer.name"] == kinds["augment.policy"] == "choice"
    assert kinds["freeze_depth"] == "depth"
    assert kinds["optimizer.betas"] == "pair"
    assert kinds["batch_size"] == "int"
    assert kinds["weights"] == "str"
    assert set(GROUPS) == {name.partition(".")[0] for name in PARAMETERS if "." in name}
