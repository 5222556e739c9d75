import subprocess
import sys
from pathlib import Path

import pytest

from search_spaces import METRICS, SpecError, SweepSpec, load_spec, parse_spec

HEAD = "name: a\ndata: {source: digits}\n"
SAMPLE = """\
name: elpv-baseline
data:
  source: elpv                 # a registered data set
  split: {val: 0.2, confirm: 0.1, test: 0.2, seed: 0}
  image_size: 128
metric: {name: val/accuracy, goal: maximize}
space:
  extends: lecture7            # a shipped space; keys below replace its keys
  backbone: {values: [timm/tf_efficientnet_lite0]}
  freeze_depth: {values: [all, -1, -2, 0]}
  dropout.rate: {min: 0.0, max: 0.6}
  optimizer:
    one_of:
      - {name: nesterov, lr: {min: 1.0e-4, max: 1.0e-1, log: true}, momentum: {value: 0.9}}
      - name: adamw
        lr: {min: 1.0e-5, max: 3.0e-3, log: true}
        weight_decay: {min: 1.0e-4, max: 1.0e-1, log: true}
search: {algorithm: tpe, seed: 7}
scheduler: {type: asha, grace_epochs: 1, reduction_factor: 3}
budget: {trials: 24, epochs: 6, wall: 30m, gpu_hours: 4, max_failed: 5}
resources: {cpu: 1, gpu: auto}
register: {model: elpv-cells}
"""


def refused(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, file="s.yaml")
    return str(caught.value).splitlines()


def space_of(text: str) -> SweepSpec:
    return parse_spec(HEAD + "space: {}\n" + text, file="s.yaml")


def test_the_sample_sweep_file_reads_as_written() -> None:
    spec = parse_spec(SAMPLE, file="sweep.yaml")
    assert (spec.name, spec.data.source, spec.data.image_size) == ("elpv-baseline", "elpv", 128)
    assert (spec.data.split.val, spec.data.split.confirm, spec.data.split.test) == (0.2, 0.1, 0.2)
    assert (spec.budget.trials, spec.budget.epochs, spec.budget.wall) == (24, 6, 1800.0)
    assert (spec.scheduler.type, spec.resources.gpu, spec.seed) == ("asha", "auto", 7)
    assert spec.registration is not None
    assert spec.registration.model == "elpv-cells"
    assert spec.space.recipe(spec.space.default()).flat()["optimizer.name"] == "adamw"
    assert spec.points == ()
    assert (spec.text, spec.file, spec.document["register"]) == (
        SAMPLE,
        "sweep.yaml",
        {"model": "elpv-cells"},
    )


def test_what_is_left_out_has_a_default() -> None:
    spec = space_of("")
    assert (spec.metric.name, spec.metric.goal) == ("val/accuracy", "maximize")
    assert (spec.search.algorithm, spec.scheduler.type, spec.registration) == ("tpe", "none", None)
    assert (spec.budget.trials, spec.budget.epochs, spec.budget.wall) == (16, 5, None)
    assert spec.data.image_size == 224


def test_all_problems_are_reported_at_once_with_their_places(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "name: elpv baseline\n"
        "data:\n"
        "  source: elpv\n"
        "  split: {val: 0.6, confirm: 0.3, test: 0.2}\n"
        "  image_sze: 128\n"
        "metric: {name: val/acuracy}\n"
        "space:\n"
        "  extends: lecture7\n"
        "  dropout.rte: {min: 0.0, max: 0.6}\n"
        "  optimizer:\n"
        "    one_of:\n"
        "      - name: nesterov\n"
        "        lr:\n"
        "          min: 0.1\n"
        "          max: 0.01\n"
        "budget: {wall: 30 minutes}\n"
        "regster: {model: x}\n"
    )
    with pytest.raises(SpecError) as caught:
        load_spec(file)
    assert str(caught.value).replace(str(file), "sweep.yaml").splitlines() == [
        "sweep.yaml:1:1 name: must be 1 to 64 letters and digits, and . _ - after the first (elpv baseline)",
        "sweep.yaml:4:3 data.split: val + confirm + test must be < 1, but is 1.1"
        ' ({"val": 0.6, "confirm": 0.3, "test": 0.2})',
        "sweep.yaml:5:3 data.image_sze: unknown key; did you mean image_size?",
        "sweep.yaml:6:10 metric.name: must be one of val/loss, val/accuracy, val/balanced_accuracy,"
        " val/macro_f1, val/auroc, val/ece, latency_ms, parameters; did you mean val/accuracy? (val/acuracy)",
        "sweep.yaml:9:3 space.dropout.rte: unknown name; did you mean rate?",
        "sweep.yaml:15:11 space.optimizer.one_of[0].lr.max: must be > min (0.01)",
        "sweep.yaml:16:10 budget.wall: must be a duration such as 90s, 30m, 2h or 1h30m (30 minutes)",
        "sweep.yaml:17:1 regster: unknown key; did you mean register?",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "s.yaml:1:1: must be a mapping with name, data and space"),
        ("- a\n", "s.yaml:1:1: must be a mapping with name, data and space"),
        ("data: {source: x}\nspace: {}\n", "s.yaml:1:1 name: is required"),
        ("name: a\nspace: {}\n", "s.yaml:1:1 data: is required"),
        (HEAD, "s.yaml:1:1 space: is required"),
        (HEAD + "space: 3\n", "s.yaml:3:1 space: must be a mapping (3)"),
        (HEAD + "space: {}\nbudget:\n", "s.yaml:4:1 budget: must be a mapping (null)"),
        ("name: a\ndata: {}\nspace: {}\n", "s.yaml:2:1 data.source: is required"),
        ("name: a\ndata: {source: ''}\nspace: {}\n", "must name a data set, a folder or a manifest"),
        ("name: a\ndata: {source: x, split: {val: 0}}\nspace: {}\n", "data.split.val: must be > 0 (0)"),
        ("name: a\ndata: {source: x, split: {test: 1}}\nspace: {}\n", "data.split.test: must be < 1 (1)"),
        ("name: a\ndata: {source: x, split: {tset: 1}}\nspace: {}\n", "unknown key; did you mean test?"),
        ("name: a\ndata: {source: x, image_size: 4}\nspace: {}\n", "data.image_size: must be >= 8 (4)"),
        (HEAD + "space: {}\nmetric: {name: val/loss, goal: maximize}\n", "must be minimize: lower is better"),
        (
            HEAD + "space: {}\nbudget: {trials: true}\n",
            "s.yaml:4:10 budget.trials: must be an integer (true)",
        ),
        (HEAD + "space: {}\nbudget: {gpu_hours: .inf}\n", "budget.gpu_hours: must be a finite number"),
        (HEAD + "space: {}\nbudget: {wall: 0m}\n", "budget.wall: must be > 0 s (0m)"),
        (HEAD + "space: {}\nbudget: {wall: 30}\n", "budget.wall: must be a duration"),
        (HEAD + "space: {}\nresources: {gpu: 1.5}\n", "resources.gpu: must be a whole number"),
        (HEAD + "space: {}\nresources: {gpu: true}\n", "resources.gpu: must be auto, a share of a GPU"),
        (HEAD + "space: {}\nresources: {cpu: 0}\n", "resources.cpu: must be > 0 (0)"),
        (HEAD + "space: {}\nregister: {model: a/b}\n", "register.model: must contain neither / nor : (a/b)"),
        (HEAD + "space: {}\nsearch: {seed: -1}\n", "search.seed: must be >= 0 (-1)"),
        (
            HEAD + "space: {}\nscheduler: {type: asha, grace_epochs: 9}\n",
            "s.yaml:4:25 scheduler.grace_epochs: must be <= budget.epochs, which is 5 (9)",
        ),
        (
            HEAD + "space: {}\nsearch: {algorithm: points}\n",
            "s.yaml:4:1 search.points: is required if algorithm is points",
        ),
        (
            HEAD + "search: {points: [{}]}\n",
            "space: is required; to run only search.points, give search.algorithm: points",
        ),
        (HEAD + "space: {}\nscheduler: {type: median, min_trials: 0}\n", "scheduler.min_trials: must be >= 1 (0)"),
        (
            HEAD + "space: {}\nscheduler: {type: median, grace_epochs: 6}\n",
            "s.yaml:4:27 scheduler.grace_epochs: must be <= budget.epochs, which is 5 (6)",
        ),
        (
            HEAD + "space: {}\nscheduler: {type: asha, brackets: 3}\nbudget: {epochs: 9}\n",
            "s.yaml:4:25 scheduler.brackets: must be <= 2, the number of rungs before the last epoch, 9: 1, 3 (3)",
        ),
        (
            HEAD + "space: {}\nscheduler: {type: asha, brackets: 2, grace_epochs: 5}\n",
            "scheduler.brackets: must be 1, because no rung comes before the last epoch, 5 (2)",
        ),
        (
            HEAD + "space: {batch_size: {min: 1, max: 2000}, dropout.rate: {min: 0, max: 0.9, step: 1e-3}}\n"
            "search: {algorithm: grid}\n",
            "s.yaml:4:10 search.algorithm: has 1,802,000 recipes here, more than 1,000,000; "
            "give budget.trials to try some of them (grid)",
        ),
    ],
)
def test_a_broken_rule_is_reported_with_its_place(text: str, line: str) -> None:
    lines = refused(text)
    assert len(lines) == 1
    assert line in lines[0]
    assert lines[0].startswith("s.yaml:")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400)])
def test_a_duration_is_kept_in_seconds(text: str, seconds: float) -> None:
    assert space_of(f"budget: {{wall: {text}}}\n").budget.wall == seconds


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_brings_its_goal(metric: str) -> None:
    assert space_of(f"metric: {{name: {metric}}}\n").metric.goal == METRICS[metric]


@pytest.mark.parametrize(("gpu", "kept"), [("auto", "auto"), ("0", 0.0), ("0.25", 0.25), ("2", 2.0)])
def test_gpus_are_a_share_or_whole(gpu: str, kept: object) -> None:
    assert space_of(f"resources: {{gpu: {gpu}}}\n").resources.gpu == kept


def test_points_give_what_differs_from_the_vocabularys_defaults() -> None:
    spec = parse_spec(
        HEAD
        + "search:\n  algorithm: points\n"
        + "  points: [{}, {optimizer: {name: sgd, lr: 1e-2}}, {freeze_depth: -1}]\n",
        file="s.yaml",
    )
    assert [point.optimizer.name for point in spec.points] == ["adamw", "sgd", "adamw"]
    assert [point.freeze_depth for point in spec.points] == [9, 9, 8]
    assert spec.budget.trials == 3


def test_points_of_a_space_give_what_differs_from_its_default_and_lie_in_it() -> None:
    text = HEAD + "space: {extends: lecture7}\nbudget: {trials: 2}\nsearch: {algorithm: points, points: "
    spec = parse_spec(text + "[{}, {optimizer.name: adam}, {freeze_depth: 8, optimizer.lr: 0.05}]}\n", file="s.yaml")
    assert [point.optimizer.name for point in spec.points] == ["nesterov", "adam", "nesterov"]
    assert all(spec.space.contains(point) for point in spec.points)
    assert spec.budget.trials == 2
    assert [
        line.partition(" ")[2] for line in refused(text + "[{freeze_depth: 3}, {mix.label_smoothing: 0.1}, 3]}")
    ] == [
        "search.points[0].freeze_depth: lies outside the space, which has all, -1, -2, -3, 0 (3)",
        "search.points[1].mix.label_smoothing: must be left at its default, because the space does not draw it (0.1)",
        "search.points[2]: must be a mapping of names to values (3)",
    ]


def test_a_wrong_point_says_which_name() -> None:
    lines = refused(
        HEAD
        + "search:\n  algorithm: points\n  points:\n"
        + "    - optimizer: {name: sgd, momentum: 0.9}\n"
        + "    - optimizer.nme: sgd\n"
        + "    - {dropout: {rate: 2}}\n"
    )
    assert lines == [
        "s.yaml:6:30 search.points[0].optimizer.momentum: is not used by sgd, only by momentum, nesterov",
        "s.yaml:7:7 search.points[1].optimizer.nme: unknown name; did you mean name?",
        "s.yaml:8:18 search.points[2].dropout.rate: must be < 1 (2)",
    ]


@pytest.mark.parametrize(
    ("settings", "rules"),
    [
        ("{grace_epochs: 2}", ["scheduler.grace_epochs: is not used by type none, only by asha, median"]),
        ("{type: asha, min_trials: 2}", ["scheduler.min_trials: is not used by type asha, only by median"]),
        (
            "{type: median, brackets: 2, reduction_factor: 3}",
            [
                "scheduler.brackets: is not used by type median, only by asha",
                "scheduler.reduction_factor: is not used by type median, only by asha",
            ],
        ),
    ],
)
def test_a_key_that_the_scheduler_would_not_look_at_is_refused(settings: str, rules: list[str]) -> None:
    problems = refused(HEAD + f"space: {{}}\nscheduler: {settings}\n")
    assert [line.partition(" ")[2] for line in problems] == rules


def test_a_grid_has_a_trial_for_each_recipe_unless_the_budget_says_fewer() -> None:
    text = HEAD + "space: {freeze_depth: {values: [all, 9, -1, 0]}, dropout.rate: {min: 0, max: 0.2, step: 0.1}}\n"
    assert parse_spec(text + "search: {algorithm: grid}\n", file="s.yaml").budget.trials == 9
    for trials, run in ((4, 4), (40, 9)):
        spec = parse_spec(text + f"search: {{algorithm: grid}}\nbudget: {{trials: {trials}}}\n", file="s.yaml")
        assert spec.budget.trials == run


def test_every_continuous_range_of_a_grid_is_refused_by_its_name() -> None:
    assert refused(
        HEAD + "space:\n"
        "  extends: head_only\n"
        "  batch_size: {min: 8, max: 64}\n"
        "  mix:\n"
        "    label_smoothing: {min: 0, max: 0.1}\n"
        "search: {algorithm: grid}\n"
    ) == [
        "s.yaml:4:3 space.extends: optimizer.lr of head_only must be listed (values) if search.algorithm is grid",
        "s.yaml:4:3 space.extends: optimizer.weight_decay of head_only must be listed (values) "
        "if search.algorithm is grid",
        "s.yaml:4:3 space.extends: dropout.rate of head_only must be listed (values) or have a step "
        "if search.algorithm is grid",
        "s.yaml:7:5 space.mix.label_smoothing: must be listed (values) or have a step if search.algorithm is grid",
    ]
    given = "optimizer.lr: {values: [1e-3, 1e-2]}, dropout.rate: {min: 0, max: 0.6, step: 0.3}"
    given += ", optimizer.weight_decay: 0.01"
    text = HEAD + f"space: {{extends: head_only, {given}}}\nsearch: {{algorithm: grid}}\n"
    assert parse_spec(text, file="s.yaml").budget.trials == (2 * 2 + 2 + 2) * 3 * 3 * 3


def test_a_file_that_cannot_be_read_is_an_error_like_the_others(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nope\.yaml: cannot be read: No such file"):
        load_spec(tmp_path / "nope.yaml")
    with pytest.raises(SpecError, match="cannot be read: Is a directory"):
        load_spec(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9\n")
    with pytest.raises(SpecError, match="byte 6 is not UTF-8"):
        load_spec(tmp_path / "latin.yaml")


def test_a_spec_never_changes() -> None:
    spec = parse_spec(SAMPLE, file="s.yaml")
    with pytest.raises(ValueError, match="frozen"):
        spec.budget.trials = 3  # type: ignore[misc]


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, search_spaces; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for package in ("torch", "numpy", "ray", "mlflow", "optuna", "sqlalchemy"):
        assert f"'{package}'" not in loaded
