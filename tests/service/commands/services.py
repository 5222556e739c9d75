"""A running `meltpoint serve`, for tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil

COMMAND = [sys.executable, "-c", "from service.commands.app import script; script()", "serve"]


@dataclass
class RunningService:
    """A service in a process of its own.

    lines: what it has printed so far, up to the line that tells that it serves, or all if it has ended.
    """

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self._find(r"Meltpoint serves .* at (http\S+)")

    @property
    def token(self) -> str:
        return self._find(r"admin token, .*: (mp_\S+)")

    def _find(self, pattern: str) -> str:
        return next(match[1] for line in self.lines if (match := re.match(pattern, line)))

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=30)

    def wait_for_mlflow(self) -> None:
        deadline = time.monotonic() + 90
        with self.client() as client:
            while client.get("/mlflow/version").status_code != 200:
                assert time.monotonic() < deadline
                time.sleep(0.2)


@contextmanager
def serving(home: Path, *arguments: str) -> Iterator[RunningService]:
    """Run `meltpoint serve`, and yield it as soon as it serves, or has ended; it is killed at the end."""
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    command = [*COMMAND, "--home", str(home), *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        service = RunningService(process)
        try:
            for line in process.stderr:
                service.lines.append(line.rstrip())
                if "the rest of it is starting" in line or "drives sweeps" in line:
                    break
            yield service
        finally:
            process.kill()
