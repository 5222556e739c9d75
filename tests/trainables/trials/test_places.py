"""The places of a trial's files: the driver's, or those of another node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.nodes import Node
from trainables.trials.places import adapt_to_node


def config(**sharing: Any) -> dict[str, Any]:
    trial = {
        "images_root": "/home/data",
        "sharing": {"folder": "/home/activations", "limit": 5, "is_usual": True, **sharing},
        "own_code": {"stripes": "5c1f"},
        "weights_digest": "77ab",
    }
    return {"home": "/home", "log": "/home/sweeps/s-1/trials.log", "trial": trial}


def test_the_machine_of_the_driver_keeps_the_driver_s_places() -> None:
    adapted = adapt_to_node(config(), Node(name="n1"), elsewhere=False)
    assert adapted == config() | {"trial": config()["trial"] | {"own_code": {}, "weights_digest": None, "node": "n1"}}


def test_a_node_with_a_home_has_everything_there_within_its_own_limit(tmp_path: Path) -> None:
    node = Node(name="n1", home=tmp_path)
    adapted = adapt_to_node(config(), node, elsewhere=True)
    trial = adapted["trial"]
    assert adapted["log"] == str(tmp_path / "sweeps" / "s-1" / "trials.log")
    assert trial["images_root"] == str(tmp_path / "data")
    assert trial["sharing"]["folder"] == str(tmp_path / "activations")
    assert trial["sharing"]["limit"] > 5
    assert (trial["own_code"], trial["weights_digest"]) == ({"stripes": "5c1f"}, "77ab")
    assert adapt_to_node(config(is_usual=False), node, elsewhere=True)["trial"]["sharing"]["limit"] == 5, "data.cache"


def test_another_node_without_a_home_uses_the_driver_s_paths() -> None:
    adapted = adapt_to_node(config(), Node(name="n1"), elsewhere=True)
    assert adapted["log"] == config()["log"]
    assert adapted["trial"]["images_root"] == "/home/data"
    assert adapted["trial"]["sharing"]["limit"] != 5
    assert adapted["trial"]["own_code"]
