"""Followers of sweeps: one reader of the ledger for all of a process, and a place in the events for each."""

from service.api.followers.channels import Channel, Frame
from service.api.followers.hub import Hub

__all__ = ["Channel", "Frame", "Hub"]
