"""Several metrics in a sweep file: goals, limits, costs, and what is refused."""

from __future__ import annotations

import pytest

from search_spaces import Goal, SpecError, SweepSpec, architectures_used, format_metric, parse_spec
from search_spaces.sweeps.objectives import MOST_METRICS, parse_count

HEAD = "name: a\ndata: {source: digits}\nspace: {}\n"


def read(metric: str, head: str = HEAD) -> SweepSpec:
    return parse_spec(f"{head}metric:\n{metric}", file="s.yaml")


def test_the_first_metric_is_optimised_and_the_others_are_objectives_or_limits() -> None:
    spec = read(
        "  - {name: val/accuracy, goal: maximize}\n  - {name: latency_ms, goal: minimize, max: 20}\n"
        "  - {name: parameters, max: 5M}\n  - {name: val/ece}\n"
    )
    assert spec.metric is spec.metrics[0]
    assert [(m.name, m.goal, m.limit, m.is_objective) for m in spec.metrics] == [
        ("val/accuracy", Goal.MAXIMIZE, None, True),
        ("latency_ms", Goal.MINIMIZE, 20.0, True),
        ("parameters", Goal.MINIMIZE, 5e6, False),
        ("val/ece", Goal.MINIMIZE, None, True),
    ]


def test_one_metric_may_have_a_limit_and_is_still_optimised() -> None:
    spec = read("  {name: val/accuracy, min: 0.9}\n")
    assert (spec.metric.limit, spec.metric.is_objective, spec.further_metrics) == (0.9, True, ())


def test_the_limit_of_an_own_metric_gives_its_goal() -> None:
    spec = read("  - {name: val/loss}\n  - {name: 'mine:recall', min: 0.8}\n  - {name: 'mine:cost', max: 3}\n")
    assert [(m.name, m.goal) for m in spec.further_metrics] == [
        ("val/mine:recall", Goal.MAXIMIZE),
        ("val/mine:cost", Goal.MINIMIZE),
    ]


@pytest.mark.parametrize(
    ("metric", "line"),
    [
        ("  []\n", "s.yaml:4:1 metric: must list 1 to 10 metrics ([])"),
        ("  - 3\n", "s.yaml:5:5 metric[0]: must be a mapping (3)"),
        ("  - {name: latency_ms}\n", "s.yaml:5:6 metric[0].name: must come after a metric to optimise"),
        ("  {name: parameters}\n", "metric.name: must come after a metric to optimise"),
        ("  - {name: val/loss}\n  - {name: latency}\n", "metric[1].name: must be one of val/loss, "),
        ("  - {name: val/loss}\n  - {name: latency}\n", "did you mean latency_ms? (latency)"),
        ("  - {name: val/loss}\n  - {name: val/loss, max: 1}\n", "metric[1].name: is listed twice (val/loss)"),
        (
            "  - {name: val/loss}\n  - {name: latency_ms, min: 5}\n",
            "metric[1].min: is not a limit for latency_ms, of which lower is better; give max (5)",
        ),
        ("  - {name: val/loss}\n  - {name: val/ece, max: 2}\n", "must lie in the range of val/ece: 0 to 1 (2)"),
        ("  - {name: val/loss}\n  - {name: parameters, max: 5Q}\n", "metric[1].max: must be a number such as 5M"),
        ("  - {name: val/loss}\n  - {name: latency_ms, max: 5M}\n", "metric[1].max: must be a number (5M)"),
        ("  - {name: val/loss}\n  - {name: latency_ms, max: .inf}\n", "metric[1].max: must be a finite number"),
        ("  - {name: val/loss}\n  - {name: latency_ms, max: 0}\n", "metric[1].max: must be > 0 (0)"),
        ("  - {name: val/loss}\n  - {name: latency_ms, mx: 1}\n", "metric[1].mx: unknown key; did you mean max?"),
        ("  - {name: val/loss}\n  - {name: latency_ms, goal: maximize}\n", "must be minimize: lower is better"),
        ("  - {name: val/loss}\n  - {name: 'mine:cost'}\n", "goal must say whether to maximize or minimize"),
    ],
)
def test_what_a_metric_may_not_be(metric: str, line: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(metric)
    assert line in str(caught.value)
    assert len(caught.value.problems) == 1


def test_there_are_not_too_many_metrics() -> None:
    with pytest.raises(SpecError, match=f"must list 1 to {MOST_METRICS} metrics"):
        read("  - {name: val/loss}\n" * (MOST_METRICS + 1))


def test_counts_are_read_and_written_with_powers_of_1000() -> None:
    assert [parse_count(text) for text in ("300k", "5M", "1.5 G", 12)] == [300_000, 5_000_000, 1.5e9, 12]
    assert [format_metric("parameters", value) for value in (999, 65_000, 4.65e6)] == ["999", "65k", "4.65M"]
    assert [format_metric(name, 0.123456) for name in ("latency_ms", "val/ece")] == ["0.123", "0.1235"]


def test_every_backbone_with_every_pool_is_an_architecture_with_the_largest_head() -> None:
    space = "backbone: {values: [timm/tf_efficientnet_lite0, torchvision/resnet18]}\n"
    space += "  head: {pool: {values: [backbone, max]}, hidden: {min: 0, max: 64}}\n"
    spec = parse_spec(f"name: a\ndata: {{source: digits}}\nspace:\n  {space}", file="s.yaml")
    architectures = [(backbone, head.pool, head.hidden) for backbone, head in architectures_used(spec)]
    assert sorted(architectures) == [
        (backbone, pool, 64)
        for backbone in ("timm/tf_efficientnet_lite0", "torchvision/resnet18")
        for pool in ("backbone", "max")
    ]
    points = "search: {algorithm: points, points: [{head.hidden: 8}, {head.pool: max}, {head.pool: max}]}\n"
    listed = parse_spec(f"name: a\ndata: {{source: digits}}\n{points}", file="s.yaml")
    assert [(head.pool, head.hidden) for _, head in architectures_used(listed)] == [("backbone", 8), ("max", 8)]


@pytest.mark.parametrize(
    ("search", "line"),
    [
        ("{from: last}", "s.yaml:4:10 search.from: must be a list of sweeps, such as [last] or"),
        ("{from: []}", "must be a list of sweeps"),
        ("{from: [3]}", "must be a list of sweeps"),
        ("{from: [a, a]}", "search.from: must list each sweep once"),
        ("{form: [a]}", "search.form: unknown key; did you mean from?"),
        ("{from: [a], algorithm: grid}", "search.from: is not used by algorithm grid, which runs the recipes of its"),
    ],
)
def test_what_earlier_sweeps_may_not_be(search: str, line: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(f"{HEAD}search: {search}\n", file="s.yaml")
    assert line in str(caught.value)


def test_earlier_sweeps_are_named_in_order() -> None:
    spec = parse_spec(f"{HEAD}search: {{from: [last, s-12ab, cells], algorithm: random}}\n", file="s.yaml")
    assert spec.search.earlier == ("last", "s-12ab", "cells")
