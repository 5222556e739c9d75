"""Tests of the description of a node."""

from __future__ import annotations

import platform
from pathlib import Path

from trainables.nodes import Node


def test_a_node_is_read_back_from_its_variables(tmp_path: Path) -> None:
    """Give a process the variables of a node, whole and in part."""
    whole = Node(name="gpu-3", home=tmp_path, fork_server="/run/fork", leaving=tmp_path / "leaving")
    assert Node.here(whole.variables()) == whole
    assert Node.here({}) == Node(name=platform.node())


def test_a_node_leaves_once_its_file_is_there(tmp_path: Path) -> None:
    """Announce the end of a node."""
    node = Node(name="gpu-3", leaving=tmp_path / "leaving")
    assert not node.is_leaving()
    (tmp_path / "leaving").touch()
    assert node.is_leaving()
    assert not Node(name="gpu-3").is_leaving()
