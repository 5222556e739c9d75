"""Objects in processes of their own, forked from one that has torch, and what workers hear from their driver."""

from trainables.processes.boards import Board
from trainables.processes.client import ForkedObject, ForkServer, died
from trainables.processes.messages import ForkedError
from trainables.processes.objects import LocalObject, ObjectHandle, Pending
from trainables.processes.rendezvous import ABANDONED, Rendezvous
from trainables.processes.socket_folders import LONGEST, make_socket_folder, socket_root

__all__ = [
    "ABANDONED",
    "LONGEST",
    "Board",
    "ForkServer",
    "ForkedError",
    "ForkedObject",
    "LocalObject",
    "ObjectHandle",
    "Pending",
    "Rendezvous",
    "died",
    "make_socket_folder",
    "socket_root",
]
