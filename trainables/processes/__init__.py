"""Objects in processes of their own, forked from one that has imported torch, and the rendezvous of workers."""

from trainables.processes.client import ForkedObject, ForkServer, died
from trainables.processes.messages import ForkedError
from trainables.processes.objects import LocalObject, ObjectHandle, Pending
from trainables.processes.rendezvous import Rendezvous

__all__ = [
    "ForkServer",
    "ForkedError",
    "ForkedObject",
    "LocalObject",
    "ObjectHandle",
    "Pending",
    "Rendezvous",
    "died",
]
