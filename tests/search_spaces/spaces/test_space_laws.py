"""Laws of every space, over documents nested at random."""

import itertools
import math
import random
from collections.abc import Mapping
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import (
    GROUPS,
    PARAMETERS,
    Choice,
    Domain,
    Entry,
    Fixed,
    Range,
    Recipe,
    Space,
    Value,
    grid_points,
    grid_size,
    parse_space,
    sample,
)
from search_spaces.records import Record
from search_spaces.schemas import sweep_schema

OPTIMIZERS = [record for record in GROUPS["optimizer"] if record.model_fields["name"].default != "lbfgs"]
"""L-BFGS stands in test_combinations.py: it asks for a batch size."""
LAWS = settings(max_examples=80)
SCHEMA = jsonschema.Draft7Validator(sweep_schema())
SEEDS = st.integers(0, 2**32 - 1)

FLOATS: dict[str, st.SearchStrategy[Any]] = {
    "optimizer.lr": st.sampled_from([1e-4, 1e-3, 1e-2, 0.1]),
    "optimizer.momentum": st.sampled_from([0.5, 0.9, 0.99]),
    "optimizer.alpha": st.sampled_from([0.9, 0.99]),
    "optimizer.eps": st.sampled_from([1e-10, 1e-8]),
    "optimizer.betas": st.sampled_from([[0.9, 0.99], [0.9, 0.999]]),
    "optimizer.weight_decay": st.sampled_from([0, 0.01, 0.1]),
    "optimizer.history": st.sampled_from([3, 10]),
    "optimizer.max_evals": st.sampled_from([5, 20]),
    "dropout.rate": st.sampled_from([0, 0.1, 0.5]),
    "mix.label_smoothing": st.sampled_from([0.0, 0.1]),
    "batch_size": st.sampled_from([8, 16, 32]),
    "freeze_depth": st.sampled_from(["all", -1, 0, 3]),
    "augment.policy": st.sampled_from(["none", "flip", "color"]),
}


@st.composite
def domains(draw: st.DrawFn, name: str, discrete: bool) -> Any:
    values = draw(st.lists(FLOATS[name], min_size=1, max_size=3, unique_by=repr))
    form = draw(st.sampled_from(["scalar", "value", "values", "range"]))
    if form == "range" and PARAMETERS[name].kind == "float" and not discrete:
        return {"min": 1e-5, "max": 0.5, "log": draw(st.booleans()), "default": 0.1}
    if form == "range" and PARAMETERS[name].kind == "int":
        return {"min": 1, "max": draw(st.integers(2, 64)), "default": 2}
    return {"scalar": values[0], "value": {"value": values[0]}}.get(form, {"values": values})


@st.composite
def branches(draw: st.DrawFn, record: type[Record], depth: int, discrete: bool) -> dict[str, Any]:
    """Draw a branch with an optimizer and some of its own names; the others are in a one_of below."""
    fields = [field for field in record.model_fields if field != "name"]
    above = [field for field in fields if draw(st.booleans())]
    branch = {field: draw(domains(f"optimizer.{field}", discrete)) for field in above}
    below = [field for field in fields if field not in above]
    if depth > 0 and below and draw(st.booleans()):
        branch["one_of"] = [
            {field: draw(domains(f"optimizer.{field}", discrete)) for field in below if draw(st.booleans())}
            for _ in range(draw(st.integers(1, 3)))
        ]
    return branch


@st.composite
def documents(draw: st.DrawFn, discrete: bool = False) -> dict[str, Any]:
    document: dict[str, Any] = {}
    records = draw(st.lists(st.sampled_from(OPTIMIZERS), max_size=3, unique=True))
    names = [str(record.model_fields["name"].default) for record in records]
    if bool(records) and draw(st.booleans()):
        alternatives = [
            {"name": name, **draw(branches(record, 1, discrete))} for name, record in zip(names, records, strict=True)
        ]
        document["optimizer"] = {"one_of": alternatives}
    elif records:
        document["optimizer"] = {"name": {"values": names}, "lr": draw(domains("optimizer.lr", discrete))}
    for name in ("batch_size", "dropout.rate", "mix.label_smoothing", "freeze_depth", "augment.policy"):
        if draw(st.booleans()):
            domain = draw(domains(name, discrete))
            if bool(records) and draw(st.booleans()):
                domain = domain if isinstance(domain, dict) else {"value": domain}
                allowed = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
                domain = {**domain, "when": {"optimizer.name": allowed}}
            document[name] = domain
    if "batch_size" not in document and draw(st.booleans()):
        document["one_of"] = [{"batch_size": 8}, {"batch_size": {"values": [16, 32]}}, {}]
    return document


def nested(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return `document` with the dotted names of its top level as groups."""
    groups: dict[str, Any] = {}
    for name, value in document.items():
        group, _, field = name.partition(".")
        if field:
            groups.setdefault(group, {})[field] = value
        else:
            groups[name] = value
    return groups


def dotted(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return `document` with the groups of its top level as dotted names."""
    names: dict[str, Any] = {}
    for name, value in document.items():
        if name in GROUPS:
            names |= {f"{name}.{field}": inner for field, inner in value.items()}
        else:
            names[name] = value
    return names


def equal(a: Value, b: Value) -> bool:
    if isinstance(a, float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=1e-9)
    return a == b


@given(document=documents(), seed=SEEDS)
@LAWS
def test_every_sampled_recipe_is_valid_and_lies_in_the_space(document: dict[str, Any], seed: int) -> None:
    space = parse_space(document)
    for rng in (random.Random(seed), random.Random(seed + 1)):
        recipe = space.recipe(sample(space, rng))
        assert Recipe.from_flat(recipe.flat()) == recipe
        assert space.contains(recipe)


@given(document=documents(), data=st.data())
@LAWS
def test_every_point_is_reachable_by_units(document: dict[str, Any], data: st.DataObject) -> None:
    space = parse_space(document)

    def any_value(entry: Entry) -> Value:
        domain: Domain = entry.domain
        if isinstance(domain, Fixed):
            return domain.value
        if isinstance(domain, Choice):
            return data.draw(st.sampled_from(domain.values))
        assert isinstance(domain, Range)
        if domain.integer:
            return data.draw(st.integers(int(domain.min), int(domain.max)))
        return data.draw(st.floats(domain.min, domain.max))

    point = space.walk(any_value)
    reached = space.walk(lambda entry: entry.domain.from_unit(entry.domain.to_unit(point[entry.key])))
    assert reached.keys() == point.keys()
    assert all(equal(reached[key], point[key]) for key in point)
    assert space.contains(space.recipe(point))


@given(document=documents())
@LAWS
def test_the_default_recipe_lies_in_the_space(document: dict[str, Any]) -> None:
    space = parse_space(document)
    assert space.contains(space.recipe(space.default()))


@given(document=documents(), seed=SEEDS)
@LAWS
def test_sampling_is_pure(document: dict[str, Any], seed: int) -> None:
    space = parse_space(document)
    assert sample(space, random.Random(seed)) == sample(parse_space(document), random.Random(seed))


@given(document=documents(), seed=SEEDS, data=st.data())
@LAWS
def test_spelling_and_order_do_not_change_a_space(document: dict[str, Any], seed: int, data: st.DataObject) -> None:
    space = parse_space(document)
    assert parse_space(nested(document)) == parse_space(dotted(nested(document)))
    shuffled = parse_space(dict(data.draw(st.permutations(list(dotted(document).items())))))
    assert set(shuffled.entries) == set(space.entries)
    assert shuffled.size() == space.size()
    recipe = space.recipe(sample(space, random.Random(seed)))
    assert shuffled.contains(recipe)


@given(document=documents(discrete=True))
@LAWS
def test_the_size_is_the_number_of_points(document: dict[str, Any]) -> None:
    space = parse_space(document)
    size = space.size()
    assert size is not None
    if size <= 3000:
        points = list(itertools.islice(grid_points(space), 3001))
        assert len(points) == size
        assert all(a != b for a, b in itertools.pairwise(points))


@given(document=documents(discrete=True), data=st.data())
@settings(LAWS, max_examples=40)
def test_every_point_has_a_number_in_the_order_of_points(document: dict[str, Any], data: st.DataObject) -> None:
    space = parse_space(document)
    size = space.size()
    assert size is not None
    for number, point in enumerate(itertools.islice(grid_points(space), 40)):
        assert space.point_at(number) == point
    number = data.draw(st.integers(0, size - 1))
    assert space.contains(space.recipe(space.point_at(number)))
    assert number == size - 1 or space.point_at(number) != space.point_at(number + 1)


@given(document=documents(discrete=True))
@settings(LAWS, max_examples=40)
def test_a_grid_has_as_many_recipes_as_its_points_come_to(document: dict[str, Any]) -> None:
    space = parse_space(document)
    size = space.size()
    assert size is not None
    if size <= 100:
        assert grid_size(space) == len({space.recipe(space.point_at(number)) for number in range(size)})


@given(document=documents(), data=st.data())
@LAWS
def test_the_json_schema_accepts_every_space_however_it_is_spelled(
    document: dict[str, Any], data: st.DataObject
) -> None:
    spelled = data.draw(st.sampled_from([document, nested(document), dotted(nested(document))]))
    parse_space(spelled)
    SCHEMA.validate({"name": "a", "data": {"source": "digits"}, "space": spelled})


def test_two_names_that_are_never_drawn_together_add_up_and_others_multiply() -> None:
    space: Space = parse_space(
        {
            "optimizer": {"name": {"values": ["sgd", "momentum"]}, "momentum": {"values": [0.8, 0.9, 0.95]}},
            "batch_size": {"min": 1, "max": 100, "default": 32},
        }
    )
    assert space.size() == (1 + 3) * 100
