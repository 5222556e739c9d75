from search_spaces import MISSING, MeltpointError, Problem, SpecError, did_you_mean


def test_a_problem_reads_as_place_path_rule_and_value() -> None:
    problem = Problem(
        path="space.optimizer.lr.max", rule="must be > min", value=0.01, file="sweep.yaml", line=14, column=7
    )
    assert str(problem) == "sweep.yaml:14:7 space.optimizer.lr.max: must be > min (0.01)"


def test_a_problem_without_a_position_or_a_value_leaves_them_out() -> None:
    assert str(Problem(path="space.x", rule="unknown name", file="sweep.yaml")) == "sweep.yaml space.x: unknown name"
    assert str(Problem(path="", rule="cannot be read", file="sweep.yaml")) == "sweep.yaml: cannot be read"
    assert str(Problem(path="x", rule="must be text", value=None)) == "x: must be text (null)"
    assert repr(MISSING) == "MISSING"


def test_values_stay_on_one_short_line() -> None:
    shown = str(Problem(path="x", rule="must be short", value="a\nb\x1b[31m" + "z" * 500))
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert len(shown) < 120


def test_problems_come_in_file_order() -> None:
    later = Problem(path="b", rule="is wrong", file="s.yaml", line=10, column=1)
    earlier = Problem(path="a", rule="is wrong", file="s.yaml", line=9, column=3)
    error = SpecError([later, earlier])
    assert isinstance(error, MeltpointError)
    assert error.problems == (earlier, later)
    assert str(error).splitlines() == [str(earlier), str(later)]


def test_a_misspelt_word_gets_the_closest_known_one() -> None:
    assert did_you_mean("nesterof", ["sgd", "nesterov"]) == "; did you mean nesterov?"
    assert did_you_mean("xyz", ["sgd", "adam"]) == "; known: sgd, adam"
