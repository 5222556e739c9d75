"""Schedules trials on Ray Tune, keeps the ledger, writes MLflow, and speaks with the user."""
