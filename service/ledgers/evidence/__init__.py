"""Rows about models: predictions of single images, and moves of aliases."""

from service.ledgers.evidence.predictions import PredictionRows, insert_predictions
from service.ledgers.evidence.promotions import Promotions

__all__ = ["PredictionRows", "Promotions", "insert_predictions"]
