"""MLflow told of everything in the outbox."""

from service.tracking.senders import Deliverer, Sender
from service.tracking.views import view_address

__all__ = ["Deliverer", "Sender", "view_address"]
