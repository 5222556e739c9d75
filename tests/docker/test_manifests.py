"""The manifests for KubeRay: valid, closed, and rendered as kubectl renders them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from tests.docker.parts import pods
from tests.docker.readers import read_text, render

SCHEMAS = Path(__file__).parent / "schemas"
KUBERNETES = json.loads((SCHEMAS / "kubernetes.json").read_text())
REGISTRY: Registry[Any] = Registry().with_resource(
    "kubernetes.json", Resource.from_contents(KUBERNETES, default_specification=DRAFT7)
)
RAY_CLUSTER = json.loads((SCHEMAS / "raycluster.json").read_text())


def check(thing: Mapping[str, Any]) -> None:
    """Raise ValidationError unless the schema of its kind allows an object; KeyError for an unknown kind."""
    if thing["kind"] == "RayCluster":
        schema = RAY_CLUSTER
        assert thing["apiVersion"] == "ray.io/v1"
    else:
        name = KUBERNETES["kinds"][f"{thing['apiVersion']}/{thing['kind']}"]
        schema = {"$ref": f"kubernetes.json#/definitions/{name}"}
    jsonschema.Draft7Validator(schema, registry=REGISTRY).validate(thing)


def test_every_object_is_what_the_schema_of_its_kind_asks_for(objects: list[dict[str, Any]]) -> None:
    for thing in objects:
        check(thing)
    assert {thing["kind"] for thing in objects} >= {"RayCluster", "Deployment", "Job", "NetworkPolicy", "Secret"}


@pytest.mark.parametrize("kind", ["RayCluster", "Deployment"])
def test_the_schemas_refuse_a_misspelt_key_of_a_container(kind: str, objects: list[dict[str, Any]]) -> None:
    thing = json.loads(json.dumps(next(thing for thing in objects if thing["kind"] == kind)))
    spec = thing["spec"].get("headGroupSpec", thing["spec"])
    spec["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(jsonschema.ValidationError):
        check(thing)


def test_the_reader_of_these_tests_renders_what_kubectl_renders(overlay: Path, objects: list[dict[str, Any]]) -> None:
    """Compare with kubectl where it is installed; elsewhere only that the reader is repeatable."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return
    printed = subprocess.run([kubectl, "kustomize", str(overlay)], capture_output=True, text=True, check=True).stdout
    assert sorted(read_text(printed), key=lambda thing: (thing["kind"], thing["metadata"]["name"])) == objects


def test_every_pod_runs_as_nobody_in_particular_with_a_read_only_root(objects: list[dict[str, Any]]) -> None:
    names = {name for name, _, _ in pods(objects)}
    assert names >= {"migrate", "mlflow", "drivers", "api", "postgres", "head", "cpu"}
    for name, _, spec in pods(objects):
        user = spec["securityContext"]
        assert user["runAsNonRoot"] is True, name
        assert user["runAsUser"] > 0, name
        assert user["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert name == "head" or spec["automountServiceAccountToken"] is False  # the head's autoscaler needs its token
        for container in spec["containers"]:
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"] is True, name
            assert rights["allowPrivilegeEscalation"] is False, name
            assert rights["capabilities"] == {"drop": ["ALL"]}, name
            assert {"requests", "limits"} <= container["resources"].keys(), name
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            claimed = {volume["name"] for volume in spec["volumes"]} | ({"data"} if name == "postgres" else set())
            assert mounted <= claimed, name


def test_every_lasting_part_has_probes(objects: list[dict[str, Any]]) -> None:
    for name, _, spec in pods(objects):
        for container in spec["containers"]:
            has = {probe for probe in ("startupProbe", "readinessProbe", "livenessProbe") if probe in container}
            assert len(has) == (0 if name == "migrate" else 3), name


def test_nodes_scale_from_none_and_have_time_to_leave(objects: list[dict[str, Any]]) -> None:
    (cluster,) = [thing for thing in objects if thing["kind"] == "RayCluster"]
    assert cluster["spec"]["enableInTreeAutoscaling"] is True
    assert cluster["spec"]["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    for group in cluster["spec"]["workerGroupSpecs"]:
        assert (group["minReplicas"], group["replicas"]) == (0, 0)
        assert group["template"]["spec"]["terminationGracePeriodSeconds"] >= 30
    gpus = [
        container["resources"]["limits"].get("nvidia.com/gpu")
        for group in cluster["spec"]["workerGroupSpecs"]
        for container in group["template"]["spec"]["containers"]
    ]
    assert gpus in ([None], [None, "1"])


def test_budgets_and_policies_select_pods_that_there_are(objects: list[dict[str, Any]]) -> None:
    labels = [labels for _, labels, _ in pods(objects)]
    for thing in objects:
        selectors = []
        if thing["kind"] == "PodDisruptionBudget":
            selectors = [thing["spec"]["selector"]]
        elif thing["kind"] == "NetworkPolicy":
            peers = [peer for rule in thing["spec"].get("ingress", ()) for peer in rule.get("from", ())]
            selectors = [thing["spec"]["podSelector"], *(peer["podSelector"] for peer in peers)]
        elif thing["kind"] == "Service":
            selectors = [{"matchLabels": thing["spec"]["selector"]}]
        for selector in selectors:
            assert any(selects(selector, each) for each in labels), (thing["metadata"]["name"], selector)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    rules = selector.get("matchExpressions", ())
    return exact and all(rule["operator"] == "In" and labels.get(rule["key"]) in rule["values"] for rule in rules)


def test_with_kueue_the_cluster_waits_in_a_queue(manifests: Path) -> None:
    (cluster,) = [thing for thing in render(manifests / "overlays" / "kueue") if thing["kind"] == "RayCluster"]
    assert cluster["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "meltpoint"


def test_a_missing_secret_is_an_error_that_names_the_file(manifests: Path, tmp_path: Path) -> None:
    shutil.copytree(manifests, tmp_path / "kuberay")
    (tmp_path / "kuberay" / "base" / "secrets" / "ray-token").unlink()
    with pytest.raises(FileNotFoundError, match="ray-token"):
        render(tmp_path / "kuberay" / "overlays" / "cpu")
