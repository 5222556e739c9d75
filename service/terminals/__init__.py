"""What the command line shows, asks and completes."""

from service.terminals.completions import VARIABLE
from service.terminals.options import Assign, HomeFlag, Output, Spec, SweepRef
from service.terminals.outputs import brief, own_stdout, print_data, print_table, stderr, stdout, working

__all__ = [
    "VARIABLE",
    "Assign",
    "HomeFlag",
    "Output",
    "Spec",
    "SweepRef",
    "brief",
    "own_stdout",
    "print_data",
    "print_table",
    "stderr",
    "stdout",
    "working",
]
