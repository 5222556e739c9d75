from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.recipes import Recipe
from trainables.activations import Costs, SharingSettings, choose_prefix_modes, features, find_entries
from trainables.activations.prefixes import FrozenPrefix, load_frozen_prefix
from trainables.augmentations.views import POLICIES
from trainables.classifiers import load_body
from trainables.stores.prepared import PreparedData
from trainables.training.trainer import EpochResult, Trainer

BASE = {"backbone": "timm/tf_efficientnet_lite0", "weights": "random", "batch_size": 16, "optimizer.lr": 3e-3}
LIMIT = 10**9


@pytest.fixture(autouse=True)
def _fresh_process_state() -> Iterator[None]:
    """Give each test the state of a new worker."""
    features._open_cache.cache_clear()
    yield
    features._open_cache.cache_clear()


def sharing_settings(
    folder: Path, *, limit: int = LIMIT, depths: tuple[int, ...] = (), trials: float = 50.0
) -> SharingSettings:
    shared = dict.fromkeys(depths, trials)
    return SharingSettings(folder=str(folder), limit=limit, memory=LIMIT, trials=shared, readers=shared)


def trained(
    data: PreparedData, chosen: Recipe, sharing: SharingSettings | None, epochs: int = 2
) -> tuple[list[EpochResult], Trainer]:
    trainer = Trainer(data, chosen, seed=1, epochs=epochs, sharing=sharing)
    return [trainer.run_epoch() for _ in range(epochs)], trainer


def figures(results: list[EpochResult]) -> list[object]:
    return [(result.train, result.val.probabilities.tobytes()) for result in results]


@pytest.mark.parametrize(
    ("backbone", "depth", "policy"),
    [
        *(("timm/test_efficientnet", depth, policy) for depth in ("all", -2, 3, 0) for policy in POLICIES),
        ("timm/tf_efficientnet_lite0", -2, "lecture7"),
    ],
)
def test_results_are_the_same_without_cache_with_an_empty_and_with_a_full_one(
    backbone: str, depth: int | str, policy: str, tiny: PreparedData, tmp_path: Path
) -> None:
    about = {"backbone": backbone, "freeze_depth": depth, "augment.policy": policy, "dropout.rate": 0.2}
    chosen = Recipe.from_flat({**BASE, **about})
    sharing = sharing_settings(tmp_path / "cache", depths=(chosen.freeze_depth,) if chosen.freeze_depth else ())
    expected, _ = trained(tiny, chosen, None)
    cold, first = trained(tiny, chosen, sharing)
    warm, second = trained(tiny, chosen, sharing)
    assert figures(cold) == figures(warm) == figures(expected)
    if depth != 0:
        assert first.features.counts["computed"] > 0
        assert second.features.counts["computed"] == 0
        assert second.features.counts["read"] > 0
        assert second.features.summary()["training"] == "kept"
        costs = second.features._own_costs
        assert costs is not None
        saved, read = second.features.summary()["saved_seconds"], second.features.counts["read"]
        assert saved == pytest.approx(read * (costs.compute - costs.read))
        assert isinstance(first_saved := first.features.summary()["saved_seconds"], float)
        assert first_saved < read * costs.compute, "what was computed and written is not saved"


def test_equal_draws_are_computed_once(tiny: PreparedData, tmp_path: Path) -> None:
    """Check that three views are one kind: without augmentation, with a flip not drawn, and in validation."""
    sharing = sharing_settings(tmp_path / "cache", depths=(9,))
    count = len(tiny.splits["train"]) + len(tiny.splits["val"])
    for policy in ("flip", "none"):
        chosen = Recipe.from_flat({**BASE, "freeze_depth": "all", "augment.policy": policy})
        _, trainer = trained(tiny, chosen, sharing, epochs=6)
        if policy == "flip":
            assert trainer.features.counts["computed"] < count + len(tiny.splits["train"])
        else:
            assert trainer.features.counts["computed"] <= 2
    kinds = {entry.folder.parent.name for entry in find_entries(tmp_path / "cache")}
    assert kinds == {"plain", "mirrored"}


def test_views_are_used_by_turns(tiny: PreparedData, tmp_path: Path) -> None:
    sharing = sharing_settings(tmp_path / "cache", depths=(9,))
    chosen = Recipe.from_flat({**BASE, "freeze_depth": "all", "augment.policy": "lecture7", "augment.views": 2})
    _, trainer = trained(tiny, chosen, sharing, epochs=4)
    assert trainer.features.counts["computed"] == 2 * len(tiny.splits["train"]) + len(tiny.splits["val"])


def test_one_pass_serves_every_boundary_that_the_sweep_asks_for(tiny: PreparedData, tmp_path: Path) -> None:
    sharing = sharing_settings(tmp_path / "cache", depths=(7, 8, 9))
    for depth in (7, 8, 9):
        chosen = Recipe.from_flat({**BASE, "freeze_depth": depth})
        expected, _ = trained(tiny, chosen, None, epochs=1)
        actual, trainer = trained(tiny, chosen, sharing, epochs=1)
        assert figures(actual) == figures(expected)
        assert (trainer.features.counts["computed"] == 0) == (depth != 7)


def test_waiting_for_a_busy_machine_does_not_count_as_time_of_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of a machine on which every stage waits an hour for its turn."""
    waits = itertools.count(step=3600)
    monkeypatch.setattr("trainables.activations.prefixes.time.perf_counter", lambda: float(next(waits)))
    body = load_body("timm/test_efficientnet", weights="random", image_size=32, seed=0)
    seconds = FrozenPrefix(body, image_size=32, precision="fp32", device=torch.device("cpu")).seconds
    assert list(seconds) == list(range(1, len(seconds) + 1))
    assert 0 < seconds[len(seconds)] < 60 / 16


def test_the_quicker_pass_counts_as_the_time_of_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first pass is the slowest: it allocates memory and chooses kernels."""
    passes = iter([0.4, 0.016])
    monkeypatch.setattr(
        FrozenPrefix, "_time_pass", lambda self, _images: dict.fromkeys(range(1, self.depth + 1), next(passes))
    )
    body = load_body("timm/test_efficientnet", weights="random", image_size=32, seed=0)
    prefix = FrozenPrefix(body, image_size=32, precision="fp32", device=torch.device("cpu"))
    assert prefix.seconds == dict.fromkeys(range(1, prefix.depth + 1), 0.001)
    assert next(passes, None) is None


def test_an_images_activations_do_not_depend_on_its_company(tiny: PreparedData) -> None:
    prefix = load_frozen_prefix(
        "timm/tf_efficientnet_lite0",
        "random",
        image_size=32,
        precision="fp32",
        device=torch.device("cpu"),
        seed=0,
        pooled=True,
    )
    images = torch.from_numpy(tiny.images[np.arange(40)]).permute(0, 3, 1, 2)
    together = prefix.compute(images, 8)
    backwards = prefix.compute(images.flip(0), 8).flip(0)
    alone = torch.cat([prefix.compute(images[row : row + 1], 8) for row in range(40)])
    kept = prefix.unpack(prefix.rows(images, [3, 8])[8], 8)
    for actual in (backwards, alone, kept):
        assert torch.equal(actual, together)
    assert kept.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("backbone", ["torchvision/resnet18", "torchvision/densenet121", "timm/vit_tiny_patch16_224"])
def test_folding_changes_no_more_than_rounding(backbone: str) -> None:
    from trainables.classifiers import build_classifier

    size = 224 if "vit" in backbone else 64
    classifier = build_classifier(backbone, classes=2, weights="random", image_size=size, seed=0).eval()
    prefix = load_frozen_prefix(
        backbone, "random", image_size=size, precision="fp32", device=torch.device("cpu"), seed=0, pooled=True
    )
    images = torch.randint(0, 256, (3, 3, size, size), dtype=torch.uint8)
    for depth in (1, len(classifier.stages)):
        classifier.freeze(depth)
        with torch.no_grad():
            expected = classifier.prefix(images)
        actual = prefix.compute(images, depth)
        assert actual.shape == expected.shape
        assert torch.allclose(actual, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("harm", ["flip a byte", "truncate", "empty the index"])
def test_a_damaged_cache_costs_time_and_changes_nothing(harm: str, tiny: PreparedData, tmp_path: Path) -> None:
    chosen = Recipe.from_flat({**BASE, "freeze_depth": "all"})
    sharing = sharing_settings(tmp_path / "cache", depths=(9,))
    expected, _ = trained(tiny, chosen, sharing)
    for entry in find_entries(tmp_path / "cache"):
        path = entry.folder / ("index" if "index" in harm else "rows")
        content = bytearray(path.read_bytes())
        if harm == "flip a byte":
            content[len(content) // 2] ^= 1
        else:
            del content[len(content) // 3 if harm == "truncate" else 0 :]
        path.write_bytes(content)
    features._open_cache.cache_clear()
    actual, trainer = trained(tiny, chosen, sharing)
    assert figures(actual) == figures(expected)
    assert trainer.features.counts["computed"] > 0
    again, healed = trained(tiny, chosen, sharing)
    assert figures(again) == figures(expected)
    assert healed.features.counts["computed"] == 0


@pytest.mark.parametrize("policy", ["flip", "lecture7"])
@pytest.mark.parametrize("batches", [0.5, 2.5, 1000.0])
def test_results_do_not_depend_on_how_much_is_read_at_once(
    batches: float, policy: str, tiny: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = Recipe.from_flat({**BASE, "freeze_depth": -2, "augment.policy": policy, "dropout.rate": 0.2})
    sharing = sharing_settings(tmp_path / "cache", depths=(chosen.freeze_depth,))
    expected, uncached = trained(tiny, chosen, None)
    trained(tiny, chosen, sharing)
    (entry, *_) = find_entries(tmp_path / "cache")
    monkeypatch.setattr(features, "_READ_AT_ONCE", int(batches * chosen.batch_size * entry.row_bytes))
    actual, trainer = trained(tiny, chosen, sharing)
    assert figures(actual) == figures(expected)
    assert trainer.features.counts == {"read": uncached.features.counts["computed"]}


def test_a_damaged_row_is_computed_again_and_no_other(tiny: PreparedData, tmp_path: Path) -> None:
    chosen = Recipe.from_flat({**BASE, "freeze_depth": "all"})
    sharing = sharing_settings(tmp_path / "cache", depths=(9,))
    expected, _ = trained(tiny, chosen, sharing, epochs=1)
    (entry,) = find_entries(tmp_path / "cache")
    content = bytearray((entry.folder / "rows").read_bytes())
    content[entry.row_bytes // 2] ^= 1
    (entry.folder / "rows").write_bytes(content)
    features._open_cache.cache_clear()
    actual, trainer = trained(tiny, chosen, sharing, epochs=1)
    assert figures(actual) == figures(expected)
    assert trainer.features.counts["computed"] == 1


def test_a_cache_that_cannot_be_used_is_reported_and_changes_nothing(tiny: PreparedData, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    chosen = Recipe.from_flat({**BASE, "freeze_depth": "all"})
    expected, _ = trained(tiny, chosen, None, epochs=1)
    actual, trainer = trained(tiny, chosen, sharing_settings(tmp_path / "file" / "cache", depths=(9,)), epochs=1)
    assert figures(actual) == figures(expected)
    assert "cannot be used (Not a directory)" in str(trainer.features.summary()["trouble"])


def test_a_full_disk_is_reported_and_changes_nothing(tiny: PreparedData, tmp_path: Path) -> None:
    """Write to /dev/full, which answers every write with "no space left on device"."""
    chosen = Recipe.from_flat({**BASE, "freeze_depth": "all"})
    expected, _ = trained(tiny, chosen, None, epochs=1)
    sharing = sharing_settings(tmp_path / "cache", depths=(9,))
    body = load_frozen_prefix(
        str(BASE["backbone"]),
        "random",
        image_size=32,
        precision="fp32",
        device=torch.device("cpu"),
        seed=1,
        pooled=True,
    )
    folder = tmp_path / "cache" / body.digest(9) / "plain" / f"9-{body.row_bytes(9)}"
    folder.mkdir(parents=True)
    (folder / "rows").symlink_to("/dev/full")
    actual, trainer = trained(tiny, chosen, sharing, epochs=1)
    assert figures(actual) == figures(expected)
    assert "No space left on device" in str(trainer.features.summary()["trouble"])


def test_a_cache_of_a_tenth_stays_within_it(tiny: PreparedData, tmp_path: Path) -> None:
    roomy = tmp_path / "roomy"
    recipes = [
        Recipe.from_flat({**BASE, "freeze_depth": depth, "augment.policy": policy})
        for policy in ("none", "flip", "lecture7")
        for depth in (8, 9)
    ]
    expected = [figures(trained(tiny, recipe, sharing_settings(roomy, depths=(8, 9)))[0]) for recipe in recipes]
    wanted = sum(entry.size for entry in find_entries(roomy))
    features._open_cache.cache_clear()
    tight = sharing_settings(tmp_path / "tight", limit=wanted // 10, depths=(8, 9))
    for recipe, figure in zip(recipes, expected, strict=True):
        assert figures(trained(tiny, recipe, tight)[0]) == figure
        assert sum(entry.size for entry in find_entries(tmp_path / "tight")) <= wanted // 10
    assert any(find_entries(tmp_path / "tight"))


def test_a_cache_with_less_than_all_saves_what_it_holds(tiny: PreparedData, tmp_path: Path) -> None:
    chosen = Recipe.from_flat({**BASE, "freeze_depth": "all"})
    expected, _ = trained(tiny, chosen, sharing_settings(tmp_path / "roomy", depths=(9,)))
    (entry,) = find_entries(tmp_path / "roomy")
    features._open_cache.cache_clear()
    tight = sharing_settings(tmp_path / "tight", limit=entry.size // 2, depths=(9,))
    for _ in range(2):
        actual, trainer = trained(tiny, chosen, tight)
        assert figures(actual) == figures(expected)
    counts = trainer.features.counts
    assert 0.3 < counts["read"] / counts.total() < 1


def test_what_is_worth_more_takes_the_place_of_what_is_worth_less(tmp_path: Path) -> None:
    from trainables.activations.cache import ActivationCache, EntryKey

    keys = np.arange(10, dtype=np.uint64)
    rows = np.zeros((10, 100), dtype=np.uint8)
    cache = ActivationCache(tmp_path, limit=2500, memory=0)
    cheap, dear, other = (
        EntryKey(body="b", view=name, depth=1, row_bytes=100, seconds=seconds)
        for name, seconds in (("cheap", 1e-4), ("dear", 1e-2), ("other", 1e-3))
    )
    for key in (cheap, dear):
        assert cache.append(key, keys, rows)
        cache.count_use(key)
    assert cache.append(other, keys, rows)
    assert {entry.folder.parent.name for entry in find_entries(tmp_path)} == {"dear", "other"}
    assert not cache.append(cheap, keys, rows)
    cache.close()


def test_a_mode_is_chosen_by_costs_and_uses() -> None:
    costs = Costs(compute=10e-3, keep=1e-3, read=0.1e-3)
    assert choose_prefix_modes({9: costs}, {9: 5.0})[9][0] == "kept"
    assert choose_prefix_modes({9: costs}, {9: 1.0})[9][0] == "read"
    slow = Costs(compute=1e-4, keep=1e-3, read=5e-4)
    assert choose_prefix_modes({9: slow, 7: costs}, {9: 100.0, 7: 5.0})[9][0] == "computed"
    assert choose_prefix_modes({9: costs}, {9: 5.0})[9][1].endswith("for about 5 uses")


def test_boundaries_used_once_each_are_kept_together_since_one_pass_gives_them_all() -> None:
    costs = {depth: Costs(compute=depth * 2e-3, keep=1e-3, read=0.1e-3) for depth in (7, 8, 9)}
    together = choose_prefix_modes(costs, {7: 1.0, 8: 1.0, 9: 1.0})
    assert {mode for mode, _ in together.values()} == {"kept"}
    assert together[7][1].endswith("for about 1 uses and 2 behind other boundaries")
    rare = choose_prefix_modes(costs, {7: 3.0, 8: 1.0, 9: 0.1})
    assert {depth: mode for depth, (mode, _) in rare.items()} == {7: "kept", 8: "kept", 9: "read"}
    unlikely = choose_prefix_modes(costs, {7: 0.3, 8: 0.3, 9: 1.0})
    assert {mode for mode, _ in unlikely.values()} == {"kept"}
    assert {mode for mode, _ in choose_prefix_modes(costs, {7: 0.0, 8: 0.0, 9: 1.0}).values()} == {"read"}


@given(
    times=st.lists(st.tuples(*[st.floats(0.0, 1.0)] * 3, st.floats(0.0, 9.0)), min_size=1, max_size=5),
)
def test_no_choice_of_boundaries_without_one_of_those_kept_saves_more(
    times: list[tuple[float, float, float, float]],
) -> None:
    computed = itertools.accumulate(compute for compute, *_ in times)
    costs = {
        depth: Costs(compute=compute, keep=keep, read=read)
        for depth, (compute, (_, keep, read, _)) in enumerate(zip(computed, times, strict=True), start=1)
    }
    uses = {depth: used for depth, (*_, used) in enumerate(times, start=1)}

    def total(kept: set[int]) -> float:
        """Return the seconds of all uses together."""
        passes = max((costs[depth].compute for depth in kept), default=0.0)
        reading = sum(uses[depth] * costs[depth].read + costs[depth].keep for depth in kept)
        return passes + reading + sum(uses[depth] * costs[depth].compute for depth in costs if depth not in kept)

    kept = {depth for depth, (mode, _) in choose_prefix_modes(costs, uses).items() if mode == "kept"}
    assert all(costs[depth].read < costs[depth].compute for depth in kept)
    assert total(kept) <= total(set()) + 1e-9
    assert all(total(kept) <= total(kept - {depth}) + 1e-9 for depth in kept)


def test_the_digest_tells_weights_and_precision_apart() -> None:
    def digest(**changed: object) -> str:
        given = {
            "image_size": 32,
            "precision": "fp32",
            "device": torch.device("cpu"),
            "seed": 0,
            "pooled": True,
        } | changed
        made: FrozenPrefix = load_frozen_prefix("timm/tf_efficientnet_lite0", "random", **given)
        return made.digest(9)

    assert len({digest(), digest(seed=1), digest(precision="bf16"), digest(image_size=64)}) == 4
    load_frozen_prefix.cache_clear()
    assert digest() == digest()
