"""Images of a sweep, as each node reads them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from search_spaces import DataSpec
from service.upkeep.checks.findings import Finding, problem
from service.upkeep.cluster_checks.looks import ClusterView

if TYPE_CHECKING:
    from service.clusters.node_looks import NoAnswer

__all__ = ["check_node_data", "data_findings", "read_images"]

_PATIENCE_SECONDS: Final = 300.0


def check_node_data(view: ClusterView) -> Iterator[Finding]:
    """Let each node list the images of the sweep, and compare; nothing is decoded. Yield nothing without a sweep."""
    if view.spec is None:
        return
    fields = view.spec.data.model_dump(mode="json")
    answers = dict(view.ask(read_images, fields, str(view.folder), str(view.home / "data"), seconds=_PATIENCE_SECONDS))
    yield from data_findings(str(view.spec.data.source), answers)


def read_images(fields: Mapping[str, Any], folder: str, root: str) -> tuple[int, int, str]:
    """Return the number of images, of classes, and a digest of names and labels, as this node reads them.

    Args:
        fields: of a `DataSpec`.
        folder: where relative paths begin.
        root: folder of prepared images, if the node has no home of its own.

    Raises:
        DataError: the images cannot be read here.
    """
    from trainables.nodes import Node
    from trainables.stores.prepared import read_table

    home = Node.here().home
    place = Path(root) if home is None else home / "data"
    table = read_table(DataSpec.model_validate(fields), base_dir=Path(folder), root=place)
    rows = sorted(zip(table.names, table.labels.tolist(), strict=True))
    digest = hashlib.sha256(repr((table.classes, rows)).encode()).hexdigest()
    return len(rows), len(table.classes), digest[:12]


def data_findings(source: str, answers: Mapping[str, tuple[int, int, str] | NoAnswer]) -> Iterator[Finding]:
    """Yield a finding for each node. answers: of `read_images`, by the node's name."""
    digests = Counter(answer[2] for answer in answers.values() if isinstance(answer, tuple))
    usual = digests.most_common(1)[0][0] if digests else ""
    for node, answer in answers.items():
        if not isinstance(answer, tuple):
            advice = (
                "give data.source as a URI that every node reads, or put the same files at the same path everywhere"
            )
            yield problem("data", answer.reason, advice, node=node)
            continue
        images, classes, digest = answer
        text = f"{source}: {images:,} images of {classes} classes, digest {digest}"
        if digest == usual:
            yield Finding(name="data", node=node, text=text)
        else:
            advice = f"other nodes have the digest {usual}: put the same files there"
            yield problem("data", text, advice, node=node)
