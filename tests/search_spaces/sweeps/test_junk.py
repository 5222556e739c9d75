"""Junk in a sweep file: the user gets a spec or a list of problems, never a traceback."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import GROUPS, PARAMETERS, Problem, Recipe, SpecError, parse_spec

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 70)
    | st.floats()
    | st.sampled_from(
        ["all", "adam", "nesterov", "flip", "points", "grid", "tpe", "asha", "median", "lecture7", "", "1h", "é\n"]
    )
)
KEYS = st.sampled_from(
    [
        *PARAMETERS,
        *GROUPS,
        *("one_of", "when", "default", "value", "values", "min", "max", "log", "step", "int", "extends"),
        *(
            "name",
            "lr",
            "momentum",
            "rate",
            "policy",
            "split",
            "source",
            "points",
            "algorithm",
            "seed",
            "a.b..c",
            "",
        ),
    ]
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)
SECTIONS = st.sampled_from(
    ["name", "data", "metric", "space", "search", "scheduler", "budget", "resources", "register", "x"]
)


def checked(document: Any) -> None:
    text = json.dumps(document).replace("NaN", ".nan").replace("Infinity", ".inf")
    problems: tuple[Problem, ...] = ()
    try:
        spec = parse_spec(text, file="s.yaml")
    except SpecError as error:
        problems, message = error.problems, str(error)
    if problems:
        assert all(problem.line for problem in problems)
        assert len(message.splitlines()) == len(problems)
    else:
        assert isinstance(spec.space.recipe(spec.space.default()), Recipe)


@given(document=st.dictionaries(SECTIONS, JUNK, max_size=6) | JUNK)
@settings(max_examples=150)
def test_any_file_is_read_or_refused(document: Any) -> None:
    checked(document)


@given(
    space=st.dictionaries(KEYS, JUNK, max_size=6),
    points=st.none() | st.lists(JUNK, max_size=2),
    algorithm=st.sampled_from(["tpe", "grid"]),
)
@settings(max_examples=250)
def test_any_space_is_read_or_refused(space: dict[str, Any], points: list[Any] | None, algorithm: str) -> None:
    search = {"algorithm": algorithm} if points is None else {"algorithm": "points", "points": points}
    checked({"name": "a", "data": {"source": "x"}, "space": space, "search": search})
