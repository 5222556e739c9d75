"""The options that every contender of the no-op benchmark takes."""

from __future__ import annotations

import argparse


def shape_parser(description: str | None, *, trials: int) -> argparse.ArgumentParser:
    """Return a parser of `--trials` (default: `trials`), `--epochs` and `--metrics`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=trials)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--metrics", type=int, default=12, help="values an epoch, including its seconds")
    return parser
