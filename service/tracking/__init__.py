"""MLflow: everything in the outbox sent to it, and its own server."""

from service.tracking.local_store import prepare_local_store
from service.tracking.senders import Deliverer, Sender
from service.tracking.servers import MlflowServer, ServerAddress, free_port
from service.tracking.views import view_address

__all__ = ["Deliverer", "MlflowServer", "Sender", "ServerAddress", "free_port", "prepare_local_store", "view_address"]
