"""`meltpoint migrate`."""

from __future__ import annotations

from contextlib import closing

from service.settings import Home
from service.terminals import HomeFlag, stderr


def migrate(home: HomeFlag = None) -> None:
    """Bring the ledger's tables to the schema of this version, also if MELTPOINT_MIGRATE is false."""
    from service.clocks import now_ms
    from service.ledgers import Ledger, schema_at, without_password

    place = Home.resolve(home)
    if place.ledger_url == f"sqlite:///{place.ledger}":
        place.create()
    with closing(Ledger(place.ledger_url, clock=now_ms)):
        schema = schema_at(place.ledger_url)
    text = f"ledger {without_password(place.ledger_url)}: schema {schema.present}"
    stderr().print(text, markup=False, soft_wrap=True)
