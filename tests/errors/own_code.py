"""Errors of the user's own functions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tests.errors.cases import Case, Section
from tests.errors.folders import Folder
from tests.errors.trials import trial
from tests.own_modules import NAME, write_module

LIKE = {NAME: "mine"}

Make = Callable[[Folder], Sequence[str]]


def module(folder: Folder, text: str) -> str:
    """Write a module beside the sweep file, under a name that no other case has; the page calls it `mine`."""
    return write_module(folder.path, text)


def loads(body: str) -> Case:
    """Return the case of a data set's function with this body."""

    def make(folder: Folder) -> Sequence[str]:
        return folder.sweep(f"'{module(folder, f'def load(folder): {body}')}:load'")

    return Case(f"`def load(folder): {body}`".replace("|", "\\|"), make, LIKE)


def named(what: str, text: str, function: str) -> Case:
    def make(folder: Folder) -> Sequence[str]:
        return folder.sweep(f"'{module(folder, text)}:{function}'")

    return Case(what, make, LIKE)


def varies(body: str) -> Case:
    """Return the case of an augmentation's function with this body, in a trial."""

    def make(folder: Folder) -> str:
        name = module(folder, f"def vary(image, generator): {body}")
        return trial(folder, f"augment.policy: '{name}:vary'")

    return Case(f"`def vary(image, generator): {body}`", make, LIKE)


def measures(body: str) -> Case:
    """Return the case of a metric's function with this body, in a trial."""

    def make(folder: Folder) -> str:
        name = module(folder, f"def cost(probabilities, labels): {body}")
        return trial(folder, "batch_size: 4", f"metric: {{name: '{name}:cost', goal: minimize}}")

    return Case(f"`def cost(probabilities, labels): {body}`", make, LIKE)


def setting(line: str) -> Make:
    def make(folder: Folder) -> Sequence[str]:
        folder.photos()
        return folder.sweep(
            "photos", line.replace("mine", module(folder, "def cost(probabilities, labels): return 0.0"))
        )

    return make


def table(arguments: str) -> str:
    return (
        "from trainables.datasets import ImageTable\n"
        "images = [np.full((8, 8), n, np.uint8) for n in range(10)]\n"
        f"def load(folder): return ImageTable(name='t', images=images, {arguments})"
    )


_PAIRS = "np.zeros((8, 8), np.uint8), 'cat'"


def offered_twice(folder: Folder) -> Sequence[str]:
    for package in ("alpha", "beta"):
        folder.write(f"lib/{package}-1.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
        entry = f"[meltpoint.datasets]\nour_cells = {package}:load\n"
        folder.write(f"lib/{package}-1.dist-info/entry_points.txt", entry)
    sys.path.insert(0, str(folder.path / "lib"))
    return folder.sweep("our_cells")


OWN_CODE = Section(
    "Own code, when a sweep starts",
    "`meltpoint run sweep.yaml`, where `data.source`, `augment.policy` or `metric.name` names a function of the module "
    "`mine`, which lies beside the sweep file.",
    1,
    [
        Case("`data: {source: 'mein:load'}`", lambda folder: folder.sweep("'mein:load'")),
        named("`data: {source: 'mine:laod'}`", "def load(folder): return []", "laod"),
        named("`data: {source: 'mine:load'}`, where `load = 3`", "load = 3", "load"),
        named("a module that imports one that is missing", "import nowhere_to_be_found", "load"),
        named("a module that raises when imported", "raise RuntimeError('no licence')", "load"),
        Case(
            "`metric: {name: mine:coste, goal: minimize}`",
            setting("metric: {name: 'mine:coste', goal: minimize}"),
            LIKE,
        ),
        Case(
            "`augment.policy: mine:vary`, and no such function", setting("space: {augment.policy: 'mine:vary'}"), LIKE
        ),
        Case("a name that two installed packages offer", offered_twice),
        loads("raise FileNotFoundError('no photos in March')"),
        loads("return None"),
        loads("return ['a.png', 'b.png']"),
        loads("return [('a.png', 0.5)]"),
        loads("return [(3, 'cat')]"),
        loads(f"return [({_PAIRS})]"),
        named(
            "an `ImageTable` of 10 images and 9 names",
            table("names=tuple('abcdefghi'), labels=np.arange(10) % 2, classes=('cat', 'dog')"),
            "load",
        ),
        named(
            "an `ImageTable` with a name twice",
            table("names=tuple('aacdefghij'), labels=np.arange(10) % 2, classes=('cat', 'dog')"),
            "load",
        ),
        named(
            "an `ImageTable` of one class",
            table("names=tuple('abcdefghij'), labels=np.arange(10) % 2, classes=('cat',)"),
            "load",
        ),
        named(
            "an `ImageTable` with labels 0 to 9 for two classes",
            table("names=tuple('abcdefghij'), labels=np.arange(10), classes=('cat', 'dog')"),
            "load",
        ),
    ],
)
OWN_CODE_IN_TRIALS = Section(
    "Own code, in a trial",
    "The trial fails, and the sweep goes on: the message stands below the leaderboard. "
    "If every trial of a `run` fails:",
    1,
    [
        varies("raise ValueError('too dark')"),
        varies("return image.numpy()"),
        varies("return image / 255"),
        measures("raise ZeroDivisionError"),
        measures("return labels"),
    ],
)


def network(body: str) -> Case:
    """Return the case of a backbone's function with this body, which `validate` finds."""

    def make(folder: Folder) -> Sequence[str]:
        name = module(folder, f"from torch import nn\ndef net(): {body}")
        folder.sweep("digits", f"space: {{backbone: '{name}:net', weights: random, freeze_depth: 0}}")
        return ["validate", "sweep.yaml"]

    return Case(f"`def net(): {body}`", make, LIKE)


def network_at_start(body: str, beside: str = "") -> Case:
    """Return the case of a backbone's function with this body, which the start of a sweep finds.

    beside: more entries of the space, as text.
    """

    def make(folder: Folder) -> Sequence[str]:
        name = module(folder, f"from torch import nn\ndef net(): {body}")
        more = f", {beside}" if beside else ""
        return folder.sweep("digits", f"space: {{backbone: '{name}:net', weights: random, freeze_depth: 0{more}}}")

    return Case(f"`def net(): {body}`" + (f"<br>`space: {{{beside}}}`" if beside else ""), make, LIKE)


OWN_BACKBONES = Section(
    "Own backbones, when a file names one",
    "`meltpoint validate sweep.yaml`, and every command that reads a sweep file, with `mine:net` as `backbone`.",
    2,
    [
        network("raise FileNotFoundError('no weights in March')"),
        network("return nn.Conv2d(3, 8, 3)"),
        network("return []"),
        network("return [nn.Conv2d(3, 8, 3), 'relu']"),
        network("return {'stem-1': nn.Conv2d(3, 8, 3)}"),
        network("return [nn.LazyConv2d(8, 3)]"),
    ],
)
OWN_BACKBONES_AT_START = Section(
    "Own backbones, when a sweep starts",
    "`meltpoint run sweep.yaml`, with `mine:net` as `backbone`.",
    1,
    [
        network_at_start("return [nn.Conv2d(3, 8, 3), nn.Conv2d(4, 8, 3)]"),
        network_at_start("return [nn.Conv2d(3, 8, 3), nn.Flatten(2)]"),
        network_at_start("return [nn.Conv2d(3, 8, 3), nn.Flatten()]", "head.pool: max"),
    ],
)
