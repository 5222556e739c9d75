"""Requests to MLflow's registry: promotions and ways back, carried out in this process or in one of their own."""

from service.registry.processes import RegistryProcesses, roll_back_apart
from service.registry.promotions import (
    find_outcome,
    read_model_history,
    read_models,
    request_promotion,
    roll_back_here,
    send_messages,
    waiting_outcome,
)

__all__ = [
    "RegistryProcesses",
    "find_outcome",
    "read_model_history",
    "read_models",
    "request_promotion",
    "roll_back_apart",
    "roll_back_here",
    "send_messages",
    "waiting_outcome",
]
