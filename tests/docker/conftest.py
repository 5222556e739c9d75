"""Compose files and manifests, read once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.docker.readers import MANIFESTS, cluster_of_compose, render


@pytest.fixture(scope="session", params=["volumes", "s3"])
def compose(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The cluster of compose.yaml, alone and together with compose.s3.yaml."""
    return cluster_of_compose(request.param)


@pytest.fixture(scope="session")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the kustomizations with files of secrets, and with an overlay for Kueue."""
    folder = tmp_path_factory.mktemp("kuberay") / "kuberay"
    shutil.copytree(MANIFESTS, folder, ignore=shutil.ignore_patterns("secrets"))
    (folder / "base" / "secrets").mkdir()
    for name in ("ledger-password", "ray-token", "s3-key-id", "s3-key"):
        (folder / "base" / "secrets" / name).write_text("secret\n")
    (folder / "overlays" / "kueue").mkdir()
    (folder / "overlays" / "kueue" / "kustomization.yaml").write_text(
        "resources: [../gpu]\ncomponents: [../../components/kueue]\n"
    )
    return folder


@pytest.fixture(scope="session", params=["cpu", "gpu", "kueue"])
def overlay(request: pytest.FixtureRequest, manifests: Path) -> Path:
    return manifests / "overlays" / str(request.param)


@pytest.fixture(scope="session")
def objects(overlay: Path) -> list[dict[str, Any]]:
    return render(overlay)
