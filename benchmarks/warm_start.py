"""Run sweeps with and without an earlier sweep, at equal budget: `python benchmarks/warm_start.py --seeds 20`.

Train heads on the raw pixels of the digits set with plain torch: a trial takes a few hundredths of a second, so that
many sweeps can be compared. Recipes, proposals and warm starts are those of the product. Each seed has its own split,
search seed and training seed; the earlier sweep has another search seed, and another split where the data differ.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping
from typing import Any, Final

import machines
import torch
from sklearn.datasets import load_digits
from torch.nn import functional

from search_spaces import Recipe, SweepSpec, parse_spec
from service.ledgers import Json, TrialState
from service.searchers import build_searcher
from service.warm_starts import fit_earlier

TRIALS: Final = 24
EPOCHS: Final = 5
MARKS: Final = (6, 12, 24)
ARMS: Final = ("cold", "recipes first", "recipes first, results told", "other split: recipes first")
TEXT: Final = """
name: heads
data: {source: digits}
space:
  backbone: timm/tf_efficientnet_lite0
  optimizer:
    one_of:
      - {name: adamw, lr: {min: 1.0e-5, max: 1.0e-1, log: true}, weight_decay: {min: 1.0e-4, max: 1.0, log: true}}
      - {name: nesterov, lr: {min: 1.0e-4, max: 1.0, log: true}, momentum: {min: 0.5, max: 0.99}}
      - {name: sgd, lr: {min: 1.0e-4, max: 1.0, log: true}}
  head.hidden: {min: 0, max: 128}
  batch_size: {min: 8, max: 256, int: true, log: true}
  dropout.rate: {min: 0.0, max: 0.7}
  mix.label_smoothing: {min: 0.0, max: 0.3}
"""


class Task:
    """A split of the digits, and trainings on it."""

    def __init__(self, pixels: torch.Tensor, labels: torch.Tensor, seed: int) -> None:
        order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(seed))
        self.train, self.val = order[:300], order[300:700]
        self._pixels, self._labels, self._seed = pixels, labels, seed

    def accuracies(self, recipe: Recipe) -> list[float]:
        """Return the val accuracy after each epoch of a training."""
        torch.manual_seed(self._seed)
        flat = recipe.flat()
        hidden = int(str(flat["head.hidden"]))
        dropout = torch.nn.Dropout(float(str(flat["dropout.rate"])))
        layers: list[torch.nn.Module] = [dropout]
        if hidden:
            layers += [torch.nn.Linear(64, hidden), torch.nn.ReLU(), dropout]
        model = torch.nn.Sequential(*layers, torch.nn.Linear(hidden or 64, 10))
        optimizer = _optimizer(model, flat)
        smoothing, batch = float(str(flat["mix.label_smoothing"])), int(str(flat["batch_size"]))
        curve = []
        for _ in range(EPOCHS):
            model.train()
            for rows in self.train[torch.randperm(len(self.train))].split(batch):
                logits, labels = model(self._pixels[rows]), self._labels[rows]
                loss = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                hits = model(self._pixels[self.val]).argmax(1) == self._labels[self.val]
            curve.append(float(hits.double().mean()))
        return curve


def _optimizer(model: torch.nn.Module, flat: Mapping[str, Any]) -> torch.optim.Optimizer:
    rate = float(flat["optimizer.lr"])
    if flat["optimizer.name"] == "adamw":
        return torch.optim.AdamW(model.parameters(), rate, weight_decay=float(flat["optimizer.weight_decay"]))
    momentum = float(flat.get("optimizer.momentum", 0.0))
    return torch.optim.SGD(model.parameters(), rate, momentum=momentum, nesterov=momentum > 0)


def _spec(seed: int, *, earlier: bool) -> SweepSpec:
    source = ", from: [last]" if earlier else ""
    budget = f"budget: {{trials: {TRIALS}, epochs: {EPOCHS}}}"
    return parse_spec(f"{TEXT}search: {{algorithm: tpe, seed: {seed}{source}}}\n{budget}\n", file="heads.yaml")


def _sweep(spec: SweepSpec, task: Task, warm_start: Json | None = None) -> list[Json]:
    """Run a sweep, one trial after the other; return its trials as `read_earlier` gives them."""
    searcher = build_searcher(spec, warm_start=warm_start)
    trials: list[Json] = []
    for number in range(TRIALS):
        proposal = searcher.propose(number)
        assert proposal is not None
        curve = task.accuracies(proposal.recipe)
        searcher.tell(number, values=curve, state=TrialState.COMPLETED)
        trials.append(
            {
                "trial_id": f"t-{number:04d}",
                "number": number,
                "recipe": proposal.recipe.flat(),
                "value": max(curve),
                "last": curve[-1],
                "epochs": EPOCHS,
                "state": TrialState.COMPLETED.value,
                "keeps_limits": True,
            }
        )
    return trials


def _earlier(trials: list[Json], digest: str) -> Json:
    ranked = sorted(trials, key=lambda trial: (-trial["value"], trial["number"]))
    source = {"sweep_id": "s-0", "name": "earlier", "digest": digest, "planned_epochs": EPOCHS, "trials": ranked}
    return {"sources": [source]}


def compare(seeds: int) -> dict[str, dict[str, list[float]]]:
    """Return by arm the best values after some numbers of trials, and the trials until the earlier best was reached."""
    digits = load_digits()
    pixels, labels = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    figures: dict[str, dict[str, list[float]]] = {arm: {} for arm in ARMS}
    for seed in range(seeds):
        task, other = Task(pixels, labels, seed), Task(pixels, labels, seed + 1000)
        past_spec = _spec(seed + 500, earlier=False)
        past, elsewhere = _sweep(past_spec, task), _sweep(past_spec, other)
        spec, cold = _spec(seed, earlier=True), _spec(seed, earlier=False)
        first = fit_earlier(_earlier(past, "d"), spec, digest=None)
        known = fit_earlier(_earlier(past, "d"), spec, digest="d")
        foreign = fit_earlier(_earlier(elsewhere, "other"), spec, digest="d")
        runs = (_sweep(cold, task), *(_sweep(spec, task, warm) for warm in (first, known, foreign)))
        goal = max(trial["value"] for trial in past)
        for arm, trials in zip(ARMS, runs, strict=True):
            values = [trial["value"] for trial in trials]
            for mark in MARKS:
                figures[arm].setdefault(f"best of {mark}", []).append(max(values[:mark]))
            reached = [number for number, value in enumerate(values, start=1) if value >= goal]
            figures[arm].setdefault("trials to the earlier best", []).append(min(reached, default=TRIALS + 1))
    return figures


def main() -> None:
    """Print the medians over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures = compare(options.seeds)
    if options.json:
        print(json.dumps({"about": machines.describe(), "figures": figures}))
        return
    print(machines.describe(), f"{options.seeds} seeds, {TRIALS} trials of {EPOCHS} epochs, medians")
    for arm, columns in figures.items():
        print(f"{arm:32}", "  ".join(f"{name} {statistics.median(values):.4f}" for name, values in columns.items()))
    for arm in ARMS[1:]:
        for mark in MARKS:
            name = f"best of {mark}"
            pairs = list(zip(figures[arm][name], figures["cold"][name], strict=True))
            better, worse = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
            print(f"{arm}, {name}: better than cold in {better}, worse in {worse} of {len(pairs)}")


if __name__ == "__main__":
    main()
