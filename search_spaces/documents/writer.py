"""Write plain data as YAML that `read_document` reads back unchanged."""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from search_spaces.documents.reader import parse_scalar

__all__ = ["write_document"]

_WIDTH = 10_000


class _Representer(SafeRepresenter):
    """Put quotes around each text that would else be read as another value."""

    def represent_text(self, text: str) -> ScalarNode:
        """Return the node of a text, in quotes if it needs them."""
        style = None if text.isprintable() and parse_scalar(text) == text else '"'
        node: ScalarNode = self.represent_scalar("tag:yaml.org,2002:str", text, style=style)
        return node

    def ignore_aliases(self, _data: Any) -> bool:
        """Write no aliases: repeat each value in full."""
        return True


_Representer.add_representer(str, _Representer.represent_text)


def write_document(data: Any) -> str:
    """Write `data` (mappings with text as keys, lists, scalars) as YAML, keys in their order."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.representer.sort_base_mapping_type_on_output = False
    yaml.width = _WIDTH
    out = io.StringIO()
    yaml.dump(data, out)
    return out.getvalue()
