"""Small real data for every test of a trial."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from search_spaces import DataSpec
from tests.own_modules import Write, write_module
from trainables.stores.prepared import PreparedData, prepare_data


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """The 1,797 handwritten digits, prepared at 16 px."""
    folder = tmp_path_factory.mktemp("digits")
    return prepare_data(DataSpec(source="digits", image_size=16), base_dir=folder, root=folder)


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """`tiny_folder` at 32 px with the default split."""
    root = tmp_path_factory.mktemp("prepared")
    return prepare_data(DataSpec(source=str(tiny_folder), image_size=32), base_dir=root, root=root)


@pytest.fixture(scope="session")
def uneven(tiny: PreparedData) -> PreparedData:
    """`tiny`, with a third of the first class's training images."""
    train = tiny.splits["train"]
    few = np.concatenate([train[tiny.labels[train] == 0][:8], train[tiny.labels[train] > 0]])
    return dataclasses.replace(tiny, splits={**tiny.splits, "train": few})


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A function that writes a module and returns its name; the module path is restored when the test ends."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    return lambda code: write_module(tmp_path, code)
