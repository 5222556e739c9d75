"""Output, options and completions of the command line."""

from service.terminals.completions import VARIABLE
from service.terminals.hints import home_option, is_home_typed, print_next, repeat_options
from service.terminals.options import Assign, ContextFlag, HomeFlag, Output, Spec, StoreFlag, SweepRef
from service.terminals.outputs import (
    own_stdout,
    print_data,
    print_line,
    print_step,
    print_table,
    stderr,
    stdout,
    step,
    working,
)

__all__ = [
    "VARIABLE",
    "Assign",
    "ContextFlag",
    "HomeFlag",
    "Output",
    "Spec",
    "StoreFlag",
    "SweepRef",
    "home_option",
    "is_home_typed",
    "own_stdout",
    "print_data",
    "print_line",
    "print_next",
    "print_step",
    "print_table",
    "repeat_options",
    "stderr",
    "stdout",
    "step",
    "working",
]
