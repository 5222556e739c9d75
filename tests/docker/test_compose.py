"""The compose files: valid, closed to the outside but for the service, and started in an order that holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.docker.parts import compose_parts
from tests.docker.readers import DOCKER, read_yaml, variables_in

SCHEMA = json.loads((Path(__file__).parent / "schemas" / "compose-spec.json").read_text())
ONE_SHOT = {"migrate", "migrate-mlflow"}


@pytest.mark.parametrize("file", ["compose.yaml", "compose.s3.yaml"])
def test_a_file_is_what_composes_schema_asks_for(file: str) -> None:
    (document,) = read_yaml(DOCKER / file)
    jsonschema.Draft7Validator(SCHEMA).validate(document)


def test_the_schema_refuses_a_misspelt_key() -> None:
    with pytest.raises(jsonschema.ValidationError, match="helthcheck"):
        jsonschema.Draft7Validator(SCHEMA).validate({"services": {"api": {"image": "x", "helthcheck": {}}}})


def test_only_the_service_has_a_port_and_only_on_loopback_unless_it_is_asked_for(compose: dict[str, Any]) -> None:
    assert {name: part["ports"] for name, part in compose["services"].items() if "ports" in part} == {
        "api": ["127.0.0.1:8000:8000"]
    }


def test_every_part_has_a_read_only_root_and_no_privilege(compose: dict[str, Any]) -> None:
    for name, part in compose["services"].items():
        assert part["read_only"] is True, name
        assert part["cap_drop"] == ["ALL"], name
        assert part["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "network_mode", "pid", "ipc"} & part.keys(), name
        targets = [volume["target"] for volume in part["volumes"] if isinstance(volume, dict)]
        assert name == "postgres" or "/home/meltpoint" in targets, name


def test_nodes_reach_neither_ledger_nor_mlflow_and_share_no_home(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in ("node", "node-gpu", "head"):
        assert services[name]["networks"] == ["cluster"], name
        homes = [volume for volume in services[name]["volumes"] if volume["target"] == "/home/meltpoint"]
        assert ["source" in home for home in homes] == [False], name
        assert "/run/secrets/ledger-password" not in str(services[name]["secrets"])
    for name in ("ledger", "tracking"):
        assert compose["networks"][name] == {"internal": True}
    assert {name for name, part in services.items() if "tracking" in part["networks"]} == {"mlflow", "api", "drivers"}


def test_every_part_starts_after_those_that_it_needs(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, part in services.items():
        assert part["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")
        assert (name in ONE_SHOT) != ("healthcheck" in part), name
        for needed, how in part.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
            assert how["condition"] == wanted, (name, needed)
            assert needed in services
    assert services["api"]["depends_on"].keys() == {"migrate", "mlflow"}
    assert services["drivers"]["depends_on"].keys() == {"migrate", "mlflow", "head"}


def test_every_name_that_is_used_is_declared(compose: dict[str, Any]) -> None:
    for kind in ("networks", "secrets"):
        used = {name for part in compose["services"].values() for name in part.get(kind, ())}
        assert used == compose[kind].keys()
    mounts = [volume for part in compose["services"].values() for volume in part["volumes"]]
    named = {mount["source"] for mount in mounts if mount["type"] == "volume" and "source" in mount}
    assert named == compose["volumes"].keys()
    files = [mount["source"] for mount in mounts if mount["type"] == "bind" and mount["source"].endswith(".sql")]
    assert len(files) == 1
    assert all((DOCKER / file).exists() for file in files)


def test_secrets_are_files_and_no_variable_holds_one(compose: dict[str, Any]) -> None:
    assert all(secret["file"] == f"./secrets/{name}" for name, secret in compose["secrets"].items())
    for part in compose_parts(compose):
        for name in part.variables:
            assert name.endswith(("_FILE", "_PATH")) or not any(
                w in name for w in ("PASS", "TOKEN", "SECRET", "KEY")
            ), name


def test_the_example_of_an_environment_has_every_variable_with_its_default() -> None:
    lines = [line for line in (DOCKER / "env.example").read_text().splitlines() if line and not line.startswith("#")]
    example = dict(line.split("=", 1) for line in lines)
    for file in ("compose.yaml", "compose.s3.yaml"):
        for name, default in variables_in(DOCKER / file):
            assert name in example, name
            assert default in (None, example[name]), name
    asked = {name for file in ("compose.yaml", "compose.s3.yaml") for name, _ in variables_in(DOCKER / file)}
    assert asked == example.keys()
