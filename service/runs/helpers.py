"""Where the parts of a sweep live that need torch or MLflow: in processes of their own, or in this one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from search_spaces import SweepSpec
from service.logs import is_debug_enabled
from service.settings import Home
from trainables.processes import Forked

__all__ = ["Helper", "Helpers"]


class Helper(Protocol):
    """An object that is asked by name, wherever it lives."""

    def ask(self, name: str, *arguments: object, progress: Callable[..., None] | None = None) -> Any:
        """What its method `name` returns; raises what that does, and ForkedError where its process ends."""

    def begin(self, name: str, *arguments: object) -> None:
        """Have it do so meanwhile, where it lives apart."""

    def end(self) -> Any:
        """What the method begun returns, or raises."""


class Helpers:
    """Makes them, and ends them with `close`.

    fork_server: its address; None to have them in this process, which then loads what they need.
    """

    def __init__(self, fork_server: str | None) -> None:
        self._fork_server = fork_server
        self._forked: list[Forked] = []

    def torch_helper(self, spec: SweepSpec, home: Home) -> Helper:
        """A `TorchHelper`."""
        if self._fork_server is not None:
            return self._fork("judge", "service.runs.torch_helper:forked_torch_helper", spec=spec, home=home)
        from service.runs.torch_helper import TorchHelper

        return _Here(TorchHelper(spec, home))

    def mlflow_helper(self, home: Home) -> Helper:
        """A `MlflowHelper`."""
        if self._fork_server is not None:
            return self._fork("sender", "service.runs.mlflow_helper:forked_mlflow_helper", home=home)
        from service.runs.mlflow_helper import MlflowHelper

        return _Here(MlflowHelper(home))

    def close(self) -> None:
        for forked in self._forked:
            forked.close()

    def _fork(self, role: str, make: str, **arguments: object) -> Forked:
        """With this process's environment and working folder."""
        assert self._fork_server is not None
        forked = Forked(
            self._fork_server,
            make,
            arguments | {"debug": is_debug_enabled()},
            role=role,
            environment=os.environ,
            folder=str(Path.cwd()),
        )
        self._forked.append(forked)
        return forked


class _Here:
    def __init__(self, made: object) -> None:
        self._made, self._result = made, None

    def ask(self, name: str, *arguments: object, progress: Callable[..., None] | None = None) -> Any:
        told = {} if progress is None else {"progress": progress}
        return getattr(self._made, name)(*arguments, **told)

    def begin(self, name: str, *arguments: object) -> None:
        self._result = self.ask(name, *arguments)

    def end(self) -> Any:
        return self._result
