from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from search_spaces import DataSpec, Recipe, load_spec
from search_spaces.extensions import ExtensionKind, count_stages_by
from tests.own_modules import Write, write_module
from tests.prepared_images import images_of
from trainables.architectures import count_stages
from trainables.augmentations import draw_views
from trainables.datasets.sources import load_table
from trainables.errors import DataError, NodeError, OwnCodeError
from trainables.own_code import check_code_digests, code_digests, load_own
from trainables.stores.prepared import PreparedData, prepare_data
from trainables.training import add_own_metrics, own_metric_names
from trainables.training.evaluation import score
from trainables.training.trainer import Trainer
from trainables.trials import TrialPlan
from trainables.trials.trial import TrialTraining

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_code" / "stripes.yaml"
PAGE = Path(__file__).parents[2] / "docs" / "own-code.md"


def test_the_example_trains_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    count_stages_by(count_stages)
    spec = load_spec(EXAMPLE)
    data = prepare_data(spec.data, base_dir=spec.folder, root=tmp_path)
    plan = TrialPlan(
        recipe=spec.space.recipe(spec.space.default()).flat(),
        seed=0,
        epochs=1,
        report_at=(1,),
        **images_of(data),
        folder=str(tmp_path / "trial"),
        metric=spec.metric.name,
        goal=spec.metric.goal,
        code=str(spec.folder),
    )
    report = TrialTraining(plan).advance()

    assert (data.name, data.classes, len(data.labels)) == ("load", ("across", "down"), 80)
    assert (plan.recipe["backbone"], plan.recipe["augment.policy"]) == ("stripes:small", "stripes:darken")
    assert 0 <= report["history"][0]["readings"]["val"]["stripes:cost"] <= 5
    assert report["best_checkpoint"] is not None


def test_an_own_view_can_be_drawn_again(write: Write) -> None:
    name = write("def shift(image, generator):\n    return (image // 2 + int(generator.integers(100))).to(torch.uint8)")
    images = torch.arange(4 * 3 * 64).reshape(4, 3, 8, 8).to(torch.uint8)
    digests = np.arange(4, dtype=np.uint64)

    def drawn(rows: slice, **changed: int) -> torch.Tensor:
        key = {"seed": 0, "view": 0, **changed}
        return draw_views(images[rows], digests[rows], policy=f"{name}:shift", **key)

    whole = drawn(slice(None))
    assert torch.equal(whole, drawn(slice(None)))
    assert torch.equal(whole[2:], drawn(slice(2, 4)))
    assert not torch.equal(whole, drawn(slice(None), view=1))
    assert not torch.equal(whole, drawn(slice(None), seed=1))


def test_an_own_augmentation_changes_the_training(write: Write, tiny: PreparedData) -> None:
    name = write("def invert(image, generator):\n    return 255 - image")
    base = {"weights": "random", "freeze_depth": -1}
    plain, own = (
        Trainer(tiny, Recipe.from_flat({**base, "augment.policy": policy}), seed=0).run_epoch()
        for policy in ("none", f"{name}:invert")
    )
    assert own.train != plain.train


def test_own_data_sets_give_pairs_or_a_table(write: Write, tiny_folder: Path, tmp_path: Path) -> None:
    name = write(
        "from trainables.datasets import ImageTable\n"
        "def paths(folder):\n    files = sorted(folder.rglob('*.png'))\n"
        "    return [(file.relative_to(folder), file.parent.name) for file in files]\n"
        "def numbers(folder):\n    return [(np.full((4, 4), 40 * n, np.uint8), n % 2) for n in range(6)]\n"
        "def table(folder):\n    return ImageTable(name='t', images=[np.zeros((4, 4), np.uint8)] * 4,\n"
        "        names=tuple('abcd'), labels=np.array([0, 1, 0, 1]), classes=('x', 'y'))\n"
    )
    paths = load_table(f"{name}:paths", base_dir=tmp_path, root=str(tiny_folder))
    folder = load_table(str(tiny_folder), base_dir=tmp_path)
    assert (paths.names, list(paths.images), paths.classes) == (folder.names, list(folder.images), folder.classes)
    assert load_table(f"{name}:numbers", base_dir=tmp_path).classes == ("0", "1")
    assert load_table(f"{name}:table", base_dir=tmp_path).name == "t"


def test_the_image_table_in_the_documentation_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (code,) = (block for block in blocks if "ImageTable" in block)
    (tmp_path / "documented_cells.py").write_text(code)
    for number in range(20):
        label = ("good", "bad")[number % 2]
        Image.new("L", (4, 4), 10 * number).save(tmp_path / f"plant{number // 2}_{number:04d}_{label}.png")

    table = load_table("documented_cells:cells", base_dir=tmp_path)

    assert table.classes == ("good", "bad")
    assert table.labels.tolist() == [0, 1] * 10
    assert table.groups is not None
    assert table.groups.tolist() == [f"plant{number // 2}" for number in range(20)]
    spec = DataSpec(source="documented_cells:cells", image_size=8)
    data = prepare_data(spec, base_dir=tmp_path, root=tmp_path / "store")
    assert data.splits["test"].tolist() == [18, 19]
    assert all(len({row // 2 for row in rows}) * 2 == len(rows) for rows in data.splits.values())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no cells today')", r"raised ValueError: no cells today"),
        ("yield 1 / 0, 'x'", r"raised ZeroDivisionError: division by zero"),
        ("return None", r"must return an ImageTable or .* and returned a NoneType"),
        ("return ['a.png', 'b.png']", r"and returned a str in place 0"),
        ("return [('a.png', 'x'), (3, 'y')]", r"and returned a int as the image in place 1"),
        ("return [('a.png', 'x'), ('b.png', None)]", r"must return labels of text .* None in place 1"),
        ("return [('a.png', float('nan'))]", r"must return labels of text .* nan in place 0"),
    ],
)
def test_an_own_data_set_that_fails_is_named(write: Write, tmp_path: Path, body: str, message: str) -> None:
    name = write(f"def load(folder):\n    {body}\n")

    with pytest.raises(OwnCodeError, match=rf"data\.source: {name}:load: .*{message}"):
        load_table(f"{name}:load", base_dir=tmp_path)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ("[]", r"at least two classes \(0\)"),
        ("[('a.png', 'x')]", r"at least two classes \(1\)"),
        ("[('a.png', 'x'), ('a.png', 'y')]", "must have a name of its own"),
        ("[('a.png', 'Cat'), ('b.png', 'cat')]", r"more than case \(Cat and cat\)"),
    ],
)
def test_an_own_data_set_that_is_inconsistent(write: Write, tmp_path: Path, pairs: str, message: str) -> None:
    name = write(f"def load(folder):\n    return {pairs}\n")

    with pytest.raises(DataError, match=rf"data\.source: {name}:load: .*{message}"):
        load_table(f"{name}:load", base_dir=tmp_path)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise KeyError('angle')", "raised KeyError: 'angle'"),
        ("return image / 2", r"must return a uint8 tensor \(3, 8, 8\), and returned a float32 tensor \(3, 8, 8\)"),
        ("return image[:, 1:]", r"and returned a uint8 tensor \(3, 7, 8\)"),
        ("return image.numpy()", "and returned a ndarray"),
    ],
)
def test_an_own_augmentation_that_fails_is_named(write: Write, body: str, message: str) -> None:
    name = write(f"def vary(image, generator):\n    {body}\n")
    images = torch.zeros((1, 3, 8, 8), dtype=torch.uint8)

    with pytest.raises(OwnCodeError, match=rf"augment\.policy: {name}:vary: .*{message}"):
        draw_views(images, np.zeros(1, np.uint64), seed=0, policy=f"{name}:vary", view=0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise RuntimeError('too many')", "raised RuntimeError: too many"),
        ("return probabilities", "must return a number, and returned a ndarray"),
        ("return True", "must return a number, and returned a bool"),
    ],
)
def test_an_own_metric_that_fails_is_named(write: Write, body: str, message: str) -> None:
    name = write(f"def cost(probabilities, labels):\n    {body}\n")
    evaluation = score(np.eye(2), np.arange(2))

    with pytest.raises(OwnCodeError, match=rf"metric\.name: {name}:cost: .*{message}"):
        add_own_metrics(evaluation, [f"{name}:cost"])


def test_an_own_metric_stands_beside_the_known_ones(write: Write) -> None:
    name = write("def wrong(probabilities, labels):\n    labels[:] = 0\n    return np.float32(0.25)\n")
    evaluation = score(np.eye(2), np.arange(2))
    measured = add_own_metrics(evaluation, own_metric_names(f"val/{name}:wrong"))

    assert measured.metrics == {**evaluation.metrics, f"{name}:wrong": 0.25}
    assert evaluation.labels.tolist() == [0, 1]
    assert add_own_metrics(evaluation, own_metric_names("val/accuracy")) is evaluation


def test_what_cannot_be_found_is_named_as_typed(write: Write) -> None:
    broken = write("raise OSError('no licence')")
    needy = write("import surely_not_installed")
    fine = write("def measure(p, l): ...\nlimit = 3\n")
    for typed, message in (
        ("surely_not_there:f", "no module surely_not_there can be imported: install it, or put it beside"),
        (f"{fine}.inner:f", f"no module {fine}.inner can be imported|is not a package"),
        (f"{needy}:f", f"importing {needy} raised ModuleNotFoundError: No module named 'surely_not_installed'"),
        (f"{broken}:f", f"importing {broken} raised OSError: no licence"),
        (f"{fine}:mesure", f"module {fine} has no function mesure; did you mean measure"),
        (f"{fine}:limit", "must name a function, not a int"),
        ("absent_point", "no installed package offers it as an entry point of meltpoint.metrics"),
    ):
        with pytest.raises(OwnCodeError, match=f"metric.name: {typed}: .*({message})"):
            load_own(typed, "metric")


def test_entry_points_resolve_and_must_be_one(write: Write, tmp_path: Path) -> None:
    name = write("def cost(p, l):\n    return 1.0\ndef other(p, l):\n    return 2.0\n")
    for package, function in (("mine", "cost"), ("yours", "other")):
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"shared = {name}:{function}", f"{package} = {name}:{function}", f"torn_{package} = {name}:gone"]
        (info / "entry_points.txt").write_text("[meltpoint.metrics]\n" + "\n".join(lines))

    assert load_own("mine", "metric")(None, None) == 1.0
    with pytest.raises(OwnCodeError, match=f"several installed packages offer it .{name}:cost, {name}:other"):
        load_own("shared", "metric")
    with pytest.raises(OwnCodeError, match=f"importing {name}:gone raised AttributeError"):
        load_own("torn_mine", "metric")


def test_a_trial_finds_modules_beside_the_sweep_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "sweep"
    folder.mkdir()
    name = write_module(folder, "def load(folder):\n    return [(folder / f'{n}.png', n % 2) for n in range(3)]")

    table = load_table(f"{name}:load", base_dir=folder)
    assert table.images[2] == folder / "2.png"
    assert table.names == ("0.png", "1.png", "2.png")
    with pytest.raises(DataError, match="only a manifest or metadata file has columns"):
        load_table(f"{name}:load", base_dir=folder, group="day")
    assert DataSpec(source=f"{name}:load").source == f"{name}:load"


def test_a_node_needs_the_same_modules_with_own_code(tmp_path: Path, write: Write) -> None:
    name, package = write("def draw(image, generator):\n    return image"), "own_package"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    (tmp_path / package / "parts.py").write_text("SIZE = 1\n")
    names: list[tuple[ExtensionKind, str]] = [
        ("dataset", "digits"),
        ("backbone", "torchvision/resnet18"),
        ("augmentation", f"{name}:draw"),
        ("backbone", f"{package}.models:small"),
    ]
    digests = code_digests(names)
    assert sorted(digests) == sorted([name, f"{package}.models"])
    assert package not in sys.modules, "a digest imports nothing"

    check_code_digests(digests, node="n7")
    (tmp_path / package / "parts.py").write_text("SIZE = 2\n")
    assert code_digests(names) != digests
    with pytest.raises(NodeError, match=rf"node n7: the module {name} .* has other content .*; install the same"):
        check_code_digests({name: "0"}, node="n7")
    with pytest.raises(NodeError, match=r"node n7: the module own_missing with the sweep's own code is missing;"):
        check_code_digests({"own_missing": "0"}, node="n7")
