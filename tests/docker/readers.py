"""Readers of compose files and of kustomizations, for what this repository's files use of them."""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

__all__ = [
    "DOCKER",
    "MANIFESTS",
    "ROOT",
    "cluster_of_compose",
    "read_compose",
    "read_text",
    "read_yaml",
    "render",
    "variables_in",
]

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
MANIFESTS = DOCKER / "kuberay"

_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def read_yaml(file: Path) -> list[Any]:
    """Return the documents of a file."""
    return read_text(file.read_text())


def read_text(text: str) -> list[Any]:
    """Return the documents of a text in YAML; see `read_yaml`."""
    reader = YAML(typ="safe", pure=True)
    return [document for document in reader.load_all(text) if document is not None]


def read_compose(*files: str, values: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return compose files of `docker/` joined into one, with their variables filled in."""
    joined: dict[str, Any] = {}
    for file in files:
        (document,) = read_yaml(DOCKER / file)
        joined = _joined(joined, _filled(document, values or {}))
    return {key: value for key, value in joined.items() if not key.startswith("x-")}


def cluster_of_compose(kind: str) -> dict[str, Any]:
    """Return compose.yaml alone for `volumes`, together with compose.s3.yaml for `s3`."""
    if kind == "volumes":
        return read_compose("compose.yaml")
    values = {"MLFLOW_ARTIFACTS_DESTINATION": "s3://bucket/mlflow", "MELTPOINT_STORE": "s3://bucket/checkpoints"}
    return read_compose("compose.yaml", "compose.s3.yaml", values=values)


def variables_in(file: Path) -> Iterator[tuple[str, str | None]]:
    """Yield the variables that a compose file asks for, each with its default; None if it must be set."""
    for match in _VARIABLE.finditer(re.sub(r"(?m)^\s*#.*$", "", file.read_text())):
        yield match[1], match[3] if match[2] == "-" else None


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, values) for inner in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: values.get(match[1]) or match[3] or "", value)
    return value


def _joined(below: Any, above: Any) -> Any:
    """Return two values of a compose file joined as Docker joins those of two files."""
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _joined(below[key], value) if key in below else value for key, value in above.items()}
    if isinstance(below, list) and isinstance(above, list):
        return below + [entry for entry in above if entry not in below]
    return above


def render(folder: Path) -> list[dict[str, Any]]:
    """Return the objects of a kustomization, sorted, as `kubectl kustomize` prints them."""
    return sorted(_objects(folder, []), key=lambda thing: (thing["kind"], thing["metadata"]["name"]))


def _objects(folder: Path, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    (kustomization,) = read_yaml(folder / "kustomization.yaml")
    objects = given
    for name in kustomization.get("resources", ()):
        place = (folder / name).resolve()
        objects = objects + (_objects(place, []) if place.is_dir() else read_yaml(place))
    for generator in kustomization.get("secretGenerator", ()):
        files = [entry.partition("=") for entry in generator["files"]]
        data = {key: base64.b64encode((folder / file).read_bytes()).decode() for key, _, file in files}
        metadata = {"name": generator["name"]}
        objects = [
            *objects,
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data},
        ]
    for name in kustomization.get("components", ()):
        objects = _objects((folder / name).resolve(), objects)
    for patch in kustomization.get("patches", ()):
        (operations,) = read_yaml(folder / patch["path"])
        target = {"kind": patch["target"]["kind"], "name": patch["target"]["name"]}
        (thing,) = [each for each in objects if {"kind": each["kind"], "name": each["metadata"]["name"]} == target]
        for operation in operations:
            _apply(operation, thing)
    for thing in objects:
        if "namespace" in kustomization and thing["kind"] != "Namespace":
            thing["metadata"]["namespace"] = kustomization["namespace"]
        for image in kustomization.get("images", ()):
            _name_image(thing, image["name"], f"{image['newName']}:{image['newTag']}")
    return objects


def _apply(operation: Mapping[str, Any], thing: dict[str, Any]) -> None:
    assert operation["op"] == "add", "the reader knows no other operation"
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    place: Any = thing
    for part in way:
        place = place[part]
    if last == "-":
        place.append(copy.deepcopy(operation["value"]))
    else:
        place[last] = operation["value"]


def _name_image(value: Any, name: str, image: str) -> None:
    if isinstance(value, list):
        for inner in value:
            _name_image(inner, name, image)
    elif isinstance(value, dict):
        for container in value.get("containers") or ():
            if isinstance(container, dict) and container.get("image") == name:
                container["image"] = image
        for inner in value.values():
            _name_image(inner, name, image)
