"""Processes that are killed while they make an MLflow store, each at a step that the caller chooses.

As a program it loads MLflow once, reads lines `WAY HOME STEP` and forks a child for each. The child makes the store of
a home, by our function or by MLflow alone, and kills itself with SIGKILL before the step with that number. A step is a
statement of MLflow's, a connection to a SQLite file, or a file renamed or deleted. The program prints what became of
the child: `killed`, or `ended` and the number of steps.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Makers", "makers"]

OURS, MLFLOWS = "prepare_local_store", "MlflowClient"
NEVER = -1

_FILE_STEPS = frozenset({"sqlite3.connect", "os.rename", "os.remove"})


class Makers:
    """Makes stores in processes of their own. Thread safety: one thread at a time."""

    def __init__(self, program: subprocess.Popen[str]) -> None:
        self._program = program

    def make(self, home: Path, *, way: str = OURS) -> int:
        """Make the home's store; return the number of steps."""
        outcome, steps = self._ask(way, home, NEVER).split()
        assert outcome == "ended", outcome
        return int(steps)

    def make_until(self, step: int, home: Path, *, way: str = OURS) -> None:
        """Begin to make the home's store, and die before a step."""
        assert self._ask(way, home, step) == "killed"

    def _ask(self, way: str, home: Path, step: int) -> str:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        print(way, home, step, file=self._program.stdin, flush=True)
        return self._program.stdout.readline().strip()


@contextmanager
def makers() -> Iterator[Makers]:
    """Run the program until the block ends."""
    command = [sys.executable, "-m", __name__]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as program:
        yield Makers(program)


def _main() -> None:
    """Fork a child for each line of stdin."""
    import mlflow.db
    import mlflow.tracking

    assert {mlflow.db, mlflow.tracking}  # loaded, for the children
    for line in sys.stdin:
        way, home, step = line.split()
        child = os.fork()
        if not child:
            _make(way, Path(home), int(step))
        _, status = os.waitpid(child, 0)
        outcome = "killed" if os.WIFSIGNALED(status) else "failed"
        sys.stdout.write(f"{outcome if status else f'ended {_steps_file(home).read_text()}'}\n")
        sys.stdout.flush()


def _steps_file(home: Path | str) -> Path:
    return Path(f"{home}.steps")


def _make(way: str, folder: Path, last: int) -> None:
    from mlflow.tracking import MlflowClient
    from sqlalchemy import Engine, event

    from service.settings import Home
    from service.tracking import local_store, prepare_local_store

    local_store._SETTLING_SECONDS = 0
    home, numbers = Home(folder).create(), itertools.count()

    def step(*_: object) -> None:
        if next(numbers) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    code = 1
    try:
        event.listen(Engine, "before_cursor_execute", step)
        sys.addaudithook(lambda name, _: step() if name in _FILE_STEPS else None)
        if way == OURS:
            prepare_local_store(home)
        else:
            MlflowClient(tracking_uri=home.local_tracking_uri).search_experiments()
        _steps_file(folder).write_text(str(next(numbers)))
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    _main()
