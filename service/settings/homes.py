"""The home folder: where the ledger, MLflow's store, decoded images and checkpoints live."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from service.errors import HomeError

DEFAULT_HOME = "~/.meltpoint"


@dataclass(frozen=True)
class Home:
    """Paths under one root; nothing is made until `create`."""

    root: Path

    @classmethod
    def resolve(cls, flag: Path | None) -> Home:
        """The folder of `--home`, else `MELTPOINT_HOME`, else `~/.meltpoint`."""
        chosen = flag or Path(os.environ.get("MELTPOINT_HOME") or DEFAULT_HOME)
        return cls(chosen.expanduser().absolute())

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.db"

    @property
    def ledger_url(self) -> str:
        """`MELTPOINT_LEDGER` where the user set one, as SQLAlchemy takes it, else the home's own file."""
        return os.environ.get("MELTPOINT_LEDGER") or f"sqlite:///{self.ledger}"

    @property
    def has_ledger(self) -> bool:
        """Whether anything may have been recorded; a database elsewhere may always have."""
        return bool(os.environ.get("MELTPOINT_LEDGER")) or self.ledger.exists()

    @property
    def mlflow_store(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.root / "mlflow-artifacts"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def activations(self) -> Path:
        return self.root / "activations"

    @property
    def ray_token(self) -> Path:
        return self.root / "ray-token"

    @property
    def backlog_lock(self) -> Path:
        return self.root / "mlflow-backlog.lock"

    @property
    def server_log(self) -> Path:
        return self.root / "mlflow-server.log"

    def sweep(self, sweep_id: str) -> Path:
        return self.root / "sweeps" / sweep_id

    @property
    def tracking_uri(self) -> str:
        """`MLFLOW_TRACKING_URI` where the user set one, else the home's own store."""
        return os.environ.get("MLFLOW_TRACKING_URI") or self.local_tracking_uri

    @property
    def local_tracking_uri(self) -> str:
        return f"sqlite:///{self.mlflow_store}"

    def create(self) -> Home:
        """Make the folder and see that it can be written.

        Raises:
            HomeError: it cannot be made or written; the message names the folder and the reason.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            reason = error.strerror or str(error)
            raise HomeError(
                f"home {self.root}: cannot be written ({reason}); choose another with --home or MELTPOINT_HOME"
            ) from error
        return self
