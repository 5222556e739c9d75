"""Errors of a space, of points, and of the values of a recipe."""

from __future__ import annotations

from collections.abc import Sequence

from tests.errors.cases import Case, Section, typed, written
from tests.errors.folders import Folder


def with_recipe(content: str, points: str, about: str) -> Case:
    """Return the case of a sweep file whose points name a file `best.yaml` with this content."""

    def make(folder: Folder) -> Sequence[str]:
        folder.write("best.yaml", content.encode("latin-1"))
        folder.write("sweep.yaml", f"name: cells\ndata: {{source: digits}}\nspace: {{}}\nsearch:\n points: {points}\n")
        return ["validate", "sweep.yaml"]

    return Case(f"`search: {{points: [best.yaml]}}`, {about}", make)


TOGETHER = Section(
    "Values that exclude each other",
    "The rules hold for every part of a space and for every point. `docs/vocabulary.md` has all of them.",
    2,
    [
        typed("space: {optimizer.name: lbfgs}"),
        typed("space: {optimizer.name: {values: [adam, lbfgs]}, batch_size: {values: [0, 32]}}"),
        typed("space: {optimizer.name: lbfgs, batch_size: 0, precision: fp16}"),
        typed("space: {batch_size: 0, optimizer: {name: lbfgs, weight_decay: 1.0e-4}}"),
        typed("space: {head.norm: batch, batch_size: {min: 1, max: 64}}"),
        typed("space: {backbone: timm/test_vit, head.pool: fractional_max}"),
        typed("space: {head.pool: fractional_max}\ndata: {source: digits, image_size: 32}"),
        typed("space: {averaging.name: snapshot}"),
        typed("space: {schedule.warmup_epochs: 3}\nbudget: {epochs: 3}"),
        typed("space: {schedule: {name: cosine_restarts, cycles: 4}}\nbudget: {epochs: 3}"),
        typed("space: {extends: quicktune}\nbudget: {epochs: 5}"),
        typed("space: {schedule.gamma: 0.5}"),
        typed("space: {head.pool_ratio: 1.2}"),
        written(
            "name: cells\ndata: {source: digits}\n"
            "search: {algorithm: points, points: [{head.pool_ratio: 1.2}, {dropout: {kind: none, rate: 0.1}}]}",
            shown="search: {algorithm: points, points: [{head.pool_ratio: 1.2}, {dropout: {kind: none, rate: 0.1}}]}\n"
            "(no space)",
        ),
    ],
)

SPACES = Section(
    "space",
    "Rules for the values of a name, and for choices that depend on each other.",
    2,
    [
        typed("space: 3"),
        typed("space: {droput.rate: 0.1}"),
        typed("space: {dropout: {rte: 0.1}}"),
        typed("space: {optimizer: adamw}"),
        typed("space: {dropout.rate: {min: 0, maxx: 0.5}}"),
        typed("space: {dropout.rate: {}}"),
        typed("space: {dropout.rate: {value: 0.1, values: [0.1, 0.2]}}"),
        typed("space: {dropout.rate: {min: 0}}"),
        typed("space: {dropout.rate: {min: 0.3, max: 0.1}}"),
        typed("space: {dropout.rate: {min: 0, max: .inf}}"),
        typed("space: {dropout.rate: {min: 0, max: 0.5, log: true}}"),
        typed("space: {dropout.rate: {min: 0, max: 0.5, log: very}}"),
        typed("space: {dropout.rate: {min: 0, max: 0.5, int: true}}"),
        typed("space: {batch_size: {min: 8, max: 64, int: false}}"),
        typed("space: {dropout.rate: {min: 0, max: 0.5, step: 0.7}}"),
        typed("space: {batch_size: {min: 8, max: 64, step: 0.5}}"),
        typed("space: {optimizer.lr: {min: 1.0e-4, max: 1.0e-2, log: true, step: 0.1}}"),
        typed("space: {dropout.rate: [0, 0.1]}"),
        typed("space: {dropout.rate: {values: 3}}"),
        typed("space: {dropout.rate: {values: []}}"),
        typed("space: {dropout.rate: {values: [0, 0.0]}}"),
        typed("space: {dropout.rate: {values: [0, 2]}}"),
        typed("space: {dropout.rate: {min: 0, max: 0.5, default: 0.9}}"),
        typed("space: {optimizer.lr: {min: 0.1, max: 0.2}}"),
        typed("space: {augment.policy: {min: 0, max: 1}}"),
        typed("space: {freeze_depth: {min: 0, max: all}}"),
        typed("space: {optimizer: {lr: 0.1}, optimizer.lr: 0.2}"),
        typed("space: {optimizer.momentum: 0.9}"),
        typed("space: {optimizer.name: sgd, dropout.rate: {values: [0.1, 0.2], when: {optimizer.name: adamw}}}"),
        typed("space: {dropout.rate: {value: 0.1, when: {batch_size: 64}}}"),
        typed("space: {dropout.rate: {value: 0.1, when: 3}}"),
        typed("space: {dropout.rate: {value: 0.1, when: {optimizer.nam: adamw}}}"),
        typed("space: {dropout.rate: {value: 0.1, when: {batch_size: []}}}"),
        typed(
            "space:\n"
            "  batch_size: {values: [16, 32], when: {dropout.rate: 0.1}}\n"
            "  dropout.rate: {values: [0.1, 0.2], when: {batch_size: 16}}"
        ),
        typed(
            "space:\n"
            "  augment.policy: {values: [none, flip]}\n"
            "  batch_size: {values: [16, 32], when: {augment.policy: flip}}\n"
            "  dropout.rate: {values: [0.1, 0.2], when: {batch_size: 16, augment.policy: none}}"
        ),
        typed("space:\n  one_of:\n    - {batch_size: 16}\n    - {batch_size: 32}\n  batch_size: 64"),
        typed("space: {optimizer: {one_of: []}}"),
        typed("space: {optimizer: {one_of: [3]}}"),
        typed("space: {optimizer: {one_of: [{name: sgd}, {name: adam}], default: adamw}}"),
        typed("space: {optimizer: {default: adam}}"),
        typed("space: {extends: lecture}"),
        typed("space: {extends: lecture7, optimizer.name: lion}"),
        typed("space: {extends: lecture7, optimizer.name: adamw}"),
    ],
)

RECIPES = Section(
    "Values of a recipe, and points",
    "The same rules hold in `space` and in `search.points`.",
    2,
    [
        typed("space: {backbone: resnet18}"),
        typed("space: {backbone: timm/resnet1888}"),
        typed("space: {weights: imagenet}"),
        typed("space: {weights: best.pth}"),
        typed("space: {freeze_depth: deep}"),
        typed("space: {freeze_depth: 12}"),
        typed("space: {backbone: torchvision/resnet18, freeze_depth: {values: [all, -6]}}"),
        typed("space: {optimizer.name: adamm}"),
        typed("space: {optimizer.lr: 0}"),
        typed("space: {optimizer.lr: 1e999}"),
        typed("space: {optimizer.lr: fast}"),
        typed("space: {optimizer.betas: 0.9}"),
        typed("space: {optimizer.betas: [0.9, 1.0]}"),
        typed("space: {dropout.rate: 1}"),
        typed("space: {augment.policy: flop}"),
        typed("space: {balance.class_weights: inversed}"),
        typed("space: {precision: fp8}"),
        typed("space: {batch_size: -1}"),
        typed("space: {batch_size: 5000}"),
        typed("space: {batch_size: 16.5}"),
        typed("search: {algorithm: points}"),
        typed("search: {algorithm: points, points: []}"),
        typed("search: {algorithm: points, points: [adamw]}"),
        typed("search: {algorithm: points, points: [{batchsize: 16}]}"),
        typed("search: {algorithm: points, points: [{batch_size: 16}]}"),
        typed("search: {algorithm: points, points: [{dropout.rate: 0.5}]}"),
        written(
            "name: cells\ndata: {source: digits}\nsearch: {algorithm: tpe, points: [{batch_size: 32}]}",
            shown="search: {algorithm: tpe, points: [{batch_size: 32}]}\n(no space)",
        ),
        typed("search: {algorithm: tpe, points: [{batch_size: 64}]}"),
        typed(
            "search: {points: [{optimizer: {name: sgd, lr: 5.0e-4}}]}\n"
            "space:\n"
            "  optimizer:\n"
            "    one_of:\n"
            "      - {name: sgd, lr: {min: 1.0e-3, max: 1.0, log: true}}\n"
            "      - {name: adamw, lr: {min: 1.0e-4, max: 1.0e-1, log: true}}"
        ),
        typed(
            "search: {points: [{augment.policy: none, batch_size: 32, dropout.rate: 0.1, head.hidden: 8}]}\n"
            "space:\n"
            "  one_of: [{augment.policy: none, batch_size: 16}, {augment.policy: flip, batch_size: 32}]\n"
            "  head: {hidden: {values: [8, 16]}}\n"
            "  dropout.rate: {values: [0.1, 0.2], when: {head.hidden: 16}}"
        ),
        typed("search: {points: [best.yaml]}"),
        with_recipe("name: cells\n", "[best.yaml]", "which is another file"),
        with_recipe("a: [\n", "[best.yaml]", "which is not YAML"),
        with_recipe("\xff", "[best.yaml]", "which is not text"),
        with_recipe("format: meltpoint-recipe-1\nrecipe: {}\n", "\n  - >-\n   best.yaml", "on another line"),
        typed("search: {algorithm: points, points: [{dropout.rate: 1.5}]}"),
        written(
            "name: cells\ndata: {source: digits}\n"
            "search: {algorithm: points, points: [{optimizer: {name: sgd, momentum: 0.9}}]}",
            shown="search: {algorithm: points, points: [{optimizer: {name: sgd, momentum: 0.9}}]}\n(no space)",
        ),
        typed(
            "search: {algorithm: points, points: [{optimizer: {name: sgd, momentum: 0.9}}]}\nspace: {extends: lecture7}"
        ),
        typed(
            "search: {algorithm: points, points: [{augment.policy: none, batch_size: 32}]}\n"
            "space:\n"
            "  one_of:\n"
            "    - {augment.policy: none, batch_size: 16}\n"
            "    - {augment.policy: flip, batch_size: 32}"
        ),
    ],
)
