"""Containers of compose files and manifests in one form, so that both are held to the same rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Part", "compose_parts", "manifest_parts", "pods"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A container.

    Attributes:
        name: of the service, or of the pod and the container.
        image: its image.
        command: arguments of the image's entry point; empty if the image decides.
        probes: commands that tell whether it is healthy.
        variables: its environment, as far as it is written down.
        secrets: files with secrets that are mounted.
        labels: of its pod.
    """

    name: str
    image: str
    command: Sequence[str]
    probes: Sequence[Sequence[str]] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ours(self) -> bool:
        """Return whether the container is made of this repository's image."""
        return "meltpoint" in self.image


def compose_parts(compose: Mapping[str, Any]) -> Iterator[Part]:
    for name, service in compose["services"].items():
        probe = service.get("healthcheck", {}).get("test", [])
        yield Part(
            name=name,
            image=service["image"],
            command=service.get("command", []),
            probes=[probe[1:]] if probe else [],
            variables=service.get("environment", {}),
            secrets=frozenset(f"/run/secrets/{secret}" for secret in service.get("secrets", ())),
        )


def pods(objects: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, str], Mapping[str, Any]]]:
    """Yield the name, the labels and the spec of every pod that the objects lead to."""
    for thing in objects:
        spec, name = thing.get("spec", {}), thing["metadata"]["name"]
        if thing["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield name, spec["template"]["metadata"]["labels"], spec["template"]["spec"]
        if thing["kind"] == "RayCluster":
            groups = [("head", spec["headGroupSpec"])] + [(g["groupName"], g) for g in spec["workerGroupSpecs"]]
            for group, values in groups:
                kind = "head" if group == "head" else "worker"
                labels = {"ray.io/cluster": name, "ray.io/node-type": kind}  # by KubeRay
                yield group, values["template"]["metadata"]["labels"] | labels, values["template"]["spec"]


def manifest_parts(objects: Sequence[Mapping[str, Any]]) -> Iterator[Part]:
    kept = {(thing["kind"], thing["metadata"]["name"]): thing for thing in objects}
    for pod, labels, spec in pods(objects):
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for container in spec["containers"]:
            variables: dict[str, str] = {}
            for source in container.get("envFrom", ()):
                variables |= kept["ConfigMap", source["configMapRef"]["name"]]["data"]
            variables |= {entry["name"]: entry["value"] for entry in container.get("env", ())}
            secrets = [
                f"{mount['mountPath']}/{key}"
                for mount in container["volumeMounts"]
                if "secret" in volumes.get(mount["name"], {})
                for key in kept["Secret", volumes[mount["name"]]["secret"]["secretName"]]["data"]
            ]
            probes = [
                container[f"{kind}Probe"]
                for kind in ("startup", "readiness", "liveness")
                if f"{kind}Probe" in container
            ]
            yield Part(
                name=f"{pod}/{container['name']}",
                image=container["image"],
                command=container.get("args", []),
                probes=[probe["exec"]["command"] for probe in probes if "exec" in probe],
                variables=variables,
                secrets=frozenset(secrets),
                labels=labels,
            )
