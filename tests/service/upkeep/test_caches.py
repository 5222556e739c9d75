"""`meltpoint cache`: the list, the entries that are deleted, and the entries that stay because they are in use."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from search_spaces import DataSpec, Goal, SpecError
from service.clocks import now_ms
from service.commands.app import app
from service.file_locks import try_lock
from service.ledgers import Ledger, MessageKind, SweepState
from service.runs.leases import driving
from service.settings import Home
from service.upkeep.caches import CachedFolder, due, list_cache, remove
from tests.archive_files import encoded, pack
from trainables.errors import DataError
from trainables.stores.prepared import PreparedData, prepare_data, read_table

DAY = 86400


@pytest.fixture
def home(tiny_folder: Path, tmp_path: Path) -> Home:
    """A home with a download and the tiny set at two sizes; the smaller was last used 40 days ago."""
    home = Home(tmp_path / "home").create()
    for size, age in ((8, 40 * DAY), (16, 0)):
        data = prepare_data(DataSpec(source=str(tiny_folder), image_size=size), base_dir=tmp_path, root=home.data)
        mark = data.folder / "about.json"
        os.utime(mark, (time.time() - age, time.time() - age))
    (home.data / "torchvision" / "CIFAR10").mkdir(parents=True)
    (home.data / "torchvision" / "CIFAR10" / "batch").write_bytes(bytes(1000))
    return home


def names(cached: list[CachedFolder]) -> list[str]:
    return [folder.about for folder in cached]


def test_the_list_has_the_longest_unused_first_and_what_each_takes(home: Home) -> None:
    first, *rest = list_cache(home)
    assert (first.kind, first.name, first.about) == ("images", "photos", "120 images at 8 px, decoded")
    assert first.bytes > 120 * 8 * 8 * 3
    assert {folder.kind for folder in rest} == {"images", "downloads"}
    assert next(folder.bytes for folder in rest if folder.kind == "downloads") == 1000


def test_a_sweep_that_uses_a_store_makes_it_recent(home: Home, tiny_folder: Path, tmp_path: Path) -> None:
    prepare_data(DataSpec(source=str(tiny_folder), image_size=8), base_dir=tmp_path, root=home.data)
    assert all(now_ms() - folder.last_used < DAY * 1000 for folder in list_cache(home))


def test_age_and_size_choose_what_goes(home: Home) -> None:
    cached, now = list_cache(home), now_ms()
    assert names(due(cached, now=now, older_than=30 * DAY)) == ["120 images at 8 px, decoded"]
    assert due(cached, now=now, older_than=50 * DAY) == []
    assert due(cached, now=now, most_bytes=sum(folder.bytes for folder in cached)) == []
    assert names(due(cached, now=now, most_bytes=sum(folder.bytes for folder in cached) - 1)) == names(cached)[:1]
    assert due(cached, now=now, most_bytes=0) == due(cached, now=now) == cached


def test_removed_images_are_made_again_the_same(home: Home, tiny_folder: Path, tmp_path: Path) -> None:
    spec = DataSpec(source=str(tiny_folder), image_size=16)
    before = prepare_data(spec, base_dir=tmp_path, root=home.data)
    pixels, folder = np.array(before.images), before.folder
    del before
    assert all(remove(folder) for folder in list_cache(home))
    assert list_cache(home) == []
    assert not folder.exists()
    again = prepare_data(spec, base_dir=tmp_path, root=home.data)
    assert np.array_equal(pixels, again.images[:])


def test_what_somebody_has_open_stays(home: Home, tiny_folder: Path, tmp_path: Path) -> None:
    data = prepare_data(DataSpec(source=str(tiny_folder), image_size=16), base_dir=tmp_path, root=home.data)
    folder, split_key = data.folder, data.split_key
    store = next(cached for cached in list_cache(home) if cached.path == folder)
    assert not remove(store)
    assert PreparedData.open(folder, split_key).images.shape == (120, 16, 16, 3)
    del data
    assert remove(store)
    with pytest.raises(DataError, match="missing or damaged"):
        PreparedData.open(folder, split_key)


def test_what_is_being_written_stays(home: Home) -> None:
    store = next(folder for folder in list_cache(home) if folder.kind == "images")
    with try_lock(store.path.with_suffix(".lock")):
        assert not remove(store)
    assert remove(store)


def sweep_on(home: Home, ledger: Ledger, data: dict[str, object]) -> str:
    sweep = ledger.sweeps.create(
        name="s", spec_text="", spec_file="s", metric="val/loss", goal=Goal.MINIMIZE, seed=0, data=data, settings={}
    )
    return ledger.sweeps.move(sweep.id, SweepState.RUNNING).id


def test_what_a_running_sweep_reads_is_not_due(home: Home) -> None:
    ledger = Ledger.open_file(home.ledger, clock=now_ms)
    store = next(folder for folder in list_cache(home) if "16 px" in folder.about)
    sweep_id = sweep_on(home, ledger, {"name": "photos", "source": "torchvision:CIFAR10", "stores": [store.path.name]})
    with driving(home, ledger, sweep_id):
        cached = list_cache(home)
        assert {folder.about for folder in cached if folder.users == (sweep_id,)} == {
            "120 images at 16 px, decoded",
            "downloaded by torchvision",
        }
        assert names(due(cached, now=now_ms())) == ["120 images at 8 px, decoded"]
    assert all(folder.users == () for folder in list_cache(home)), "its process is gone"
    ledger.close()


def test_what_a_model_has_still_to_be_registered_from_is_not_due(home: Home) -> None:
    ledger = Ledger.open_file(home.ledger, clock=now_ms)
    store = next(folder for folder in list_cache(home) if "16 px" in folder.about)
    sweep_id = sweep_on(home, ledger, {"name": "photos", "stores": ["another"]})
    ledger.outbox.put(sweep_id, MessageKind.CANDIDATE, {"data": str(store.path), "split_key": "k", "test": {}})
    ledger.sweeps.move(sweep_id, SweepState.COMPLETED)
    assert [folder.about for folder in list_cache(home) if folder.users] == ["120 images at 16 px, decoded"]
    ledger.close()


def test_unpacked_archives_are_listed_and_removed_unless_they_are_in_use(home: Home, tmp_path: Path) -> None:
    files = {f"{label}/{n}.png": encoded(n) for label in "ab" for n in range(5)}
    data = DataSpec(source=str(pack(tmp_path / "birds.tgz", files)), image_size=8)
    table = read_table(data, base_dir=tmp_path, root=home.data)
    (archive,) = (folder for folder in list_cache(home) if folder.kind == "archives")

    assert (archive.name, archive.about) == ("birds.tgz", f"unpacked from {tmp_path / 'birds.tgz'}")
    assert now_ms() - archive.last_used < DAY * 1000
    assert not remove(archive)
    del table
    assert remove(archive)
    (home.data / "archives" / "0123456789abcdef.partial").mkdir()
    assert [folder.kind for folder in list_cache(home) if "archives" in folder.path.parts] == ["leftovers"]
    assert len(read_table(data, base_dir=tmp_path, root=home.data).images) == 10


def test_half_written_and_half_removed_stores_are_leftovers(home: Home) -> None:
    store = next(folder.path for folder in list_cache(home) if folder.kind == "images")
    shutil.copytree(store, home.data / "0123.partial")
    store.rename(home.data / f".removing-{store.name}-1")
    left = [folder for folder in list_cache(home) if folder.kind == "leftovers"]
    assert len(left) == 2
    assert all(remove(folder) for folder in left)
    assert {folder.kind for folder in list_cache(home)} == {"downloads", "images"}


def test_prune_asks_says_and_removes(home: Home) -> None:
    def prune(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["cache", "prune", *arguments, "--home", str(home.root)])

    dry = prune("--older-than", "30d", "--dry-run", "-o", "json")
    (row,) = json.loads(dry.stdout)
    assert (dry.exit_code, row["about"], row["removed"]) == (0, "120 images at 8 px, decoded", False)
    assert f"next: meltpoint cache prune --older-than 30d --home {home.root}" in dry.stderr
    assert len(list_cache(home)) == 3
    unasked = prune("--older-than", "30d")
    assert (unasked.exit_code, "confirm with --yes" in unasked.stderr) == (2, True)
    done = prune("--older-than", "30d", "--yes", "-o", "json")
    assert (done.exit_code, json.loads(done.stdout)[0]["removed"]) == (0, True)
    assert len(list_cache(home)) == 2
    for wrong in (["--older-than", "soon"], ["--max", "lots"]):
        refused = prune(*wrong, "--dry-run")
        assert isinstance(refused.exception, SpecError)
        assert f"{wrong[0]}: must be" in str(refused.exception)
