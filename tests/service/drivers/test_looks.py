"""Looks from the nodes of a real Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.drivers.looks import find_unreadable


@pytest.mark.usefixtures("ray_once")
def test_a_path_that_a_node_cannot_read_is_named_with_the_node(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    unreadable = find_unreadable([str(tmp_path), missing])
    assert [entry.path for entry in unreadable] == [missing]
    assert unreadable[0].node.count(".") == 3
