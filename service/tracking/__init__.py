"""MLflow: everything in the outbox sent to it, and its own server."""

from service.tracking.senders import Deliverer, Sender
from service.tracking.servers import MlflowServer, ServerAddress, free_port
from service.tracking.views import view_address

__all__ = ["Deliverer", "MlflowServer", "Sender", "ServerAddress", "free_port", "view_address"]
