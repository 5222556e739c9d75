"""Clients of a service: its sweeps, users and tokens over HTTP, for commands and notebooks.

What loads the schemas is imported by its own module's name, so that commands and completions start quickly.
"""

from service.clients.connections import Connection
from service.clients.submissions import send_submission

__all__ = ["Connection", "send_submission"]
