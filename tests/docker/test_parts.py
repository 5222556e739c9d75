"""Entry points, compose files and manifests know each other: commands, variables, ports, addresses and secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from mlflow import cli as mlflow_cli
from mlflow.environment_variables import _EnvironmentVariable

from service.commands.app import app
from service.settings.settings import Settings
from tests.docker.parts import Part, compose_parts, manifest_parts, pods
from tests.docker.readers import DOCKER, ROOT, cluster_of_compose, render
from tests.docker.test_manifests import selects

SECRETS = frozenset(
    re.search(r'^secrets="(.*)"$', (DOCKER / "entrypoint.sh").read_text(), re.MULTILINE)[1].split()  # type: ignore[index]
)
"""Variables that the entry point reads from files."""

S3 = frozenset({"AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"})
"""Variables of boto3 and s3fs, which name the region and the server."""

POSTGRES = frozenset({"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD_FILE", "PGDATA"})
"""Variables of the image of PostgreSQL."""

RAY = frozenset({"RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"})

KUBERAY = frozenset({"FQ_RAY_IP"})
"""Variables that KubeRay gives to the nodes of a cluster."""


@pytest.fixture(scope="module")
def from_compose(compose: dict[str, Any]) -> list[Part]:
    return list(compose_parts(compose))


@pytest.fixture(scope="module")
def from_manifests(objects: list[dict[str, Any]]) -> list[Part]:
    return list(manifest_parts(objects))


@pytest.fixture(scope="module", params=["volumes", "s3", "cpu", "gpu", "kueue"])
def parts(request: pytest.FixtureRequest, manifests: Path) -> list[Part]:
    """The parts of the compose files, then those of each overlay."""
    name = str(request.param)
    if name in ("volumes", "s3"):
        return list(compose_parts(cluster_of_compose(name)))
    return list(manifest_parts(render(manifests / "overlays" / name)))


def words_of(part: Part) -> Iterator[Sequence[str]]:
    """Yield the command of a container of ours, and those that look at its health, with the program as first word."""
    yield part.command if part.command[0] == "mlflow" else ["meltpoint", *part.command]
    yield from part.probes


def parsed(words: Sequence[str]) -> Any:
    """Return a command's context, parsed as its program does; raises an error if it would refuse the command."""
    program: Any = typer.main.get_command(app) if words[0] == "meltpoint" else mlflow_cli.cli
    context = typer.Context(program, info_name="meltpoint") if words[0] == "meltpoint" else None
    rest = list(words[1:])
    while hasattr(program, "commands"):
        program = program.commands[rest.pop(0)]
    return program.make_context(program.name, rest, parent=context)


def test_every_command_is_one_that_its_program_takes(parts: list[Part]) -> None:
    ours = [part for part in parts if part.is_ours]
    assert len(ours) >= 7
    for part in ours:
        for words in words_of(part):
            if words[0] == "python":
                compile(words[2], part.name, "exec")
            else:
                parsed(words)


def test_a_command_that_no_program_takes_is_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        parsed(["meltpoint", "node", "--hed"])
    with pytest.raises(click.UsageError, match="No such option"):
        parsed(["mlflow", "server", "--prot", "5000"])


def test_every_variable_is_known_to_what_reads_it(parts: list[Part]) -> None:
    settings = {f"MELTPOINT_{name.upper()}" for name in Settings.model_fields}
    for part in parts:
        if not part.is_ours:
            assert set(part.variables) <= POSTGRES, part.name
            continue
        known = settings | RAY | S3 | {f"{name}_FILE" for name in SECRETS} | variables_of_mlflow()
        assert set(part.variables) <= known, part.name


def variables_of_mlflow() -> set[str]:
    from mlflow import environment_variables

    values = vars(environment_variables).values()
    named = {value.name for value in values if isinstance(value, _EnvironmentVariable)}
    server = mlflow_cli.cli.commands["server"]
    return named | {str(option.envvar) for option in server.params if option.envvar}


def test_every_secret_that_is_named_is_mounted_and_each_is_used(parts: list[Part]) -> None:
    for part in parts:
        named = {value for value in part.variables.values() if value.startswith("/run/secrets/")}
        assert named == part.secrets or (named < part.secrets and "head" in part.name), part.name


def test_settings_that_parts_share_are_the_same_for_all(parts: list[Part]) -> None:
    for name in ("MELTPOINT_LEDGER", "MELTPOINT_STORE", "MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL"):
        assert len({part.variables[name] for part in parts if name in part.variables}) <= 1, name
    users = [part for part in parts if "MELTPOINT_LEDGER" in part.variables]
    assert all(part.variables["MELTPOINT_MIGRATE"] == "false" for part in users)
    migrating = [
        part.command for part in parts if "MELTPOINT_LEDGER" in part.variables and part.command[0] == "migrate"
    ]
    assert migrating == [["migrate"]]


def addresses(part: Part) -> set[tuple[str, int]]:
    """Return hosts and ports that a part is told to reach."""
    unasked = {"MLFLOW_SERVER_ALLOWED_HOSTS"} | ({"MLFLOW_TRACKING_URI"} if part.command[:1] == ["migrate"] else set())
    named = [value for name, value in part.variables.items() if name not in unasked]
    texts = [*part.command, *named]
    pattern = re.compile(r"(?:^|@|://)([a-z][a-z0-9-]*|\$\(FQ_RAY_IP\)):(\d+)(?:/|$)")
    ends = {(match[1], int(match[2])) for text in texts for match in pattern.finditer(text)}
    return {end for end in ends if end[0] not in ("localhost", part.name)}


def port_of(part: Part) -> int | None:
    """Return the port that a part's command listens at."""
    if not part.is_ours:
        return 5432
    return parsed(next(iter(words_of(part)))).params.get("port") if "--port" in part.command else None


def test_every_address_in_compose_leads_to_a_part_that_listens_there_on_a_shared_network(
    compose: dict[str, Any], from_compose: list[Part]
) -> None:
    by_name, networks = {part.name: part for part in from_compose}, compose["services"]
    asked = set()
    for part in from_compose:
        for host, port in addresses(part):
            asked.add(host)
            assert port_of(by_name[host]) == port, (part.name, host)
            assert set(networks[part.name]["networks"]) & set(networks[host]["networks"]), (part.name, host)
    assert asked == {"postgres", "mlflow", "head"}
    ports = {part.name: port_of(part) for part in from_compose if part.is_ours and port_of(part)}
    assert ports == {"api": 8000, "mlflow": 5000, "head": 6379}
    for name, port in (("api", 8000), ("mlflow", 5000)):
        assert any(f":{port}/" in word for word in by_name[name].probes[0]), name
    assert compose["services"]["api"]["ports"][0].endswith(":8000")


def test_every_address_in_the_manifests_leads_to_a_service_whose_pod_listens_and_lets_the_asker_in(
    objects: list[dict[str, Any]], from_manifests: list[Part]
) -> None:
    services = {thing["metadata"]["name"]: thing for thing in objects if thing["kind"] == "Service"}
    policies = [thing["spec"] for thing in objects if thing["kind"] == "NetworkPolicy"]
    labelled = {name: labels for name, labels, _ in pods(objects)}
    ports = {
        (name, port["containerPort"]): port["name"]
        for name, _, spec in pods(objects)
        for container in spec["containers"]
        for port in container.get("ports", ())
    }
    asked = set()
    for part in from_manifests:
        pod = part.name.partition("/")[0]
        for host, port in addresses(part):
            asked.add(host)
            if host in ("meltpoint-head-svc", "$(FQ_RAY_IP)"):  # made by KubeRay: the head's service of this RayCluster
                server, target = "head", port
            else:
                server, (entry,) = host, services[host]["spec"]["ports"]
                assert entry["port"] == port
                assert selects({"matchLabels": services[host]["spec"]["selector"]}, labelled[server])
                target = port
                assert ports[server, target] == entry["targetPort"]
            assert (server, target) in ports
            assert lets_in(policies, labelled[server], labelled[pod], target), (pod, server)
    assert asked == {"postgres", "mlflow", "meltpoint-head-svc", "$(FQ_RAY_IP)"}
    assert not lets_in(policies, labelled["postgres"], labelled["cpu"], 5432)
    assert not lets_in(policies, labelled["mlflow"], labelled["cpu"], 5000)


def lets_in(
    policies: Sequence[Mapping[str, Any]], server: Mapping[str, str], client: Mapping[str, str], port: int
) -> bool:
    """Return whether network policies let a pod reach a port of another, as Kubernetes joins them."""
    rules = [
        rule for policy in policies if selects(policy["podSelector"], server) for rule in policy.get("ingress", ())
    ]
    return any(
        ("ports" not in rule or port in [entry["port"] for entry in rule["ports"]])
        and ("from" not in rule or any(selects(peer["podSelector"], client) for peer in rule["from"]))
        for rule in rules
    )


def test_ports_of_manifests_are_those_that_commands_listen_at(
    objects: list[dict[str, Any]], from_manifests: list[Part]
) -> None:
    listening = {part.name.partition("/")[0]: port_of(part) for part in from_manifests if "--port" in part.command}
    declared = {
        name: port["containerPort"]
        for name, _, spec in pods(objects)
        for container in spec["containers"]
        for port in container.get("ports", ())
        if name != "postgres"
    }
    assert listening == declared == {"api": 8000, "mlflow": 5000, "head": 6379}


def test_variables_in_arguments_are_the_containers_own(from_manifests: list[Part]) -> None:
    for part in from_manifests:
        names = set(re.findall(r"\$\((\w+)\)", " ".join(part.command)))
        assert names <= set(part.variables) | KUBERAY, part.name


def test_the_cluster_runs_the_version_of_ray_that_is_locked(objects: list[dict[str, Any]]) -> None:
    (cluster,) = [thing for thing in objects if thing["kind"] == "RayCluster"]
    lock = (ROOT / "requirements.lock").read_text()
    assert f"\nray=={cluster['spec']['rayVersion']} " in lock


def test_parts_have_longer_to_end_than_they_take(objects: list[dict[str, Any]], compose: dict[str, Any]) -> None:
    """Compare the grace of containers with the times that the parts themselves give to what they end."""
    from service.commands.services.serving import DRIVERS_SECONDS

    node = next(option for option in typer.main.get_command(app).commands["node"].params if option.name == "grace")  # type: ignore[attr-defined]
    leave = int(str(node.default).removesuffix("s"))
    graces = {name: spec["terminationGracePeriodSeconds"] for name, _, spec in pods(objects) if name != "migrate"}
    timed = {
        name: part["stop_grace_period"] for name, part in compose["services"].items() if "stop_grace_period" in part
    }
    of_compose = {name: int(text.removesuffix("s")) for name, text in timed.items()}
    for times in (graces, of_compose):
        assert times["drivers"] > DRIVERS_SECONDS
    assert min(graces["cpu"], of_compose["node"], of_compose["node-gpu"]) > leave


def test_names_in_the_manifests_are_those_of_the_image(tmp_path: Path) -> None:
    dockerfile = (DOCKER / "Dockerfile").read_text()
    uid = re.search(r"--uid (\d+)", dockerfile)
    assert uid is not None
    texts = [file.read_text() for file in (DOCKER / "kuberay").rglob("*.yaml")]
    users = {user for text in texts for user in re.findall(r"runAsUser: (\d+)", text)}
    assert users == {uid[1], "999"}
    assert os.access(DOCKER / "entrypoint.sh", os.X_OK)
