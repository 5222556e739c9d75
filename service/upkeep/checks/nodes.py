"""The nodes of a cluster that get no trials, as the service of the home describes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from service.upkeep.checks.findings import Finding, Surroundings, warning

__all__ = ["check_nodes"]


def check_nodes(surroundings: Surroundings) -> Iterator[Finding]:
    """Yield each node that is set aside or about to leave; nothing if no service uses a cluster now."""
    from sqlalchemy.exc import SQLAlchemyError

    from service.clocks import now_ms
    from service.ledgers import Ledger, schema_at

    home = surroundings.home
    if home.ledger_url == f"sqlite:///{home.ledger}" and not home.ledger.exists():
        return
    try:
        schema = schema_at(home.ledger_url)
    except (SQLAlchemyError, ImportError):
        return  # the check of the ledger says so
    if schema.present != schema.wanted:
        return
    with closing(Ledger.open(home, clock=now_ms)) as ledger:
        processes = ledger.services.list(role="drivers")
    for node in (node for process in processes for node in process.status.get("nodes", ())):
        if node["problem"] is not None:
            advice = "mend it, or end it; it is tried again some minutes later" if node["aside"] else ""
            yield warning("nodes", f"{node['name']} gets no trials: {node['problem']}", advice)
