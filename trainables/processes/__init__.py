"""Processes forked from one that has loaded torch, and the rendezvous of workers."""

from trainables.processes.fork_servers import Forked, ForkedError, ForkServer, died
from trainables.processes.rendezvous import Rendezvous

__all__ = ["ForkServer", "Forked", "ForkedError", "Rendezvous", "died"]
