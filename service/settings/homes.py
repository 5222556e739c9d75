"""The home folder, which holds the ledger, MLflow's store, decoded images and checkpoints."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from search_spaces.documents import expand_user
from service.errors import HomeError
from trainables.checkpoint_stores import mask_place, read_place

DEFAULT_HOME = "~/.meltpoint"
STORE_VARIABLE = "MELTPOINT_STORE"


@dataclass(frozen=True)
class Home:
    """Paths in one home folder. Nothing is written before `create`."""

    root: Path

    @classmethod
    def resolve(cls, flag: Path | None) -> Home:
        """Return the home at `--home`, else `MELTPOINT_HOME`, else `~/.meltpoint`.

        The last keeps its `~` if the user has no folder; `create` refuses it then.
        """
        given = flag or os.environ.get("MELTPOINT_HOME") or DEFAULT_HOME
        root = expand_user(given)
        return cls(root if given == DEFAULT_HOME else root.absolute())

    @property
    def ledger(self) -> Path:
        """SQLite file of the ledger."""
        return self.root / "ledger.db"

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger: `MELTPOINT_LEDGER` if it is set, else the file in the home."""
        return os.environ.get("MELTPOINT_LEDGER") or f"sqlite:///{self.ledger}"

    @property
    def has_ledger(self) -> bool:
        """True if a ledger may exist. A database named by `MELTPOINT_LEDGER` counts as a ledger without a check."""
        return bool(os.environ.get("MELTPOINT_LEDGER")) or self.ledger.exists()

    @property
    def may_migrate(self) -> bool:
        """True if an older ledger is upgraded when it is opened; False if `MELTPOINT_MIGRATE` is false."""
        return os.environ.get("MELTPOINT_MIGRATE", "").lower() != "false"

    @property
    def mlflow_store(self) -> Path:
        """SQLite file of the home's own MLflow store."""
        return self.root / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """Folder of artifacts of the home's own MLflow store."""
        return self.root / "mlflow-artifacts"

    @property
    def data(self) -> Path:
        """Folder of prepared images."""
        return self.root / "data"

    @property
    def activations(self) -> Path:
        """Folder of the activation cache."""
        return self.root / "activations"

    @property
    def ray_token(self) -> Path:
        """File with the token of the home's own Ray cluster."""
        return self.root / "ray-token"

    @property
    def backlog_lock(self) -> Path:
        """Lock of the process that sends messages of sweeps without a driver to MLflow."""
        return self.root / "mlflow-backlog.lock"

    @property
    def promotions_lock(self) -> Path:
        """Lock of the process that moves an alias of a registered model."""
        return self.root / "promotions.lock"

    @property
    def promotions_log(self) -> Path:
        """Log of the processes that carry out promotions for the service."""
        return self.root / "promotions.log"

    @property
    def server_log(self) -> Path:
        """Log of the MLflow server that `meltpoint ui` or `meltpoint serve` starts."""
        return self.root / "mlflow-server.log"

    @property
    def drivers_log(self) -> Path:
        """Log of the processes that drive sweeps for the service."""
        return self.root / "drivers.log"

    @property
    def node_log(self) -> Path:
        """Log of the node that `meltpoint serve --join` keeps."""
        return self.root / "node.log"

    def service_locks(self, *, has_api: bool, has_drivers: bool) -> list[Path]:
        """Return the locks of the parts of a service that one process may run for this home at a time."""
        parts = ("api",) * has_api + ("drivers",) * has_drivers
        return [self.root / f"service-{part}.lock" for part in parts]

    @property
    def service_file(self) -> Path:
        """File with the address of the service, while it serves this home."""
        return self.root / "service.json"

    @property
    def session_key(self) -> Path:
        """File with the key that signs browser sessions."""
        return self.root / "session-key"

    @property
    def admin_token(self) -> Path:
        """File with the token of the service's first admin."""
        return self.root / "admin-token"

    @property
    def store(self) -> str | None:
        """Place of new checkpoints: `MELTPOINT_STORE`; None if it is not set.

        Raises:
            HomeError: it names no place, or holds credentials.
        """
        text = os.environ.get(STORE_VARIABLE)
        if not text:
            return None
        try:
            return read_place(text, Path.cwd())
        except ValueError as error:
            raise HomeError(f"{STORE_VARIABLE}: {error} ({mask_place(text)})") from None

    def sweep(self, sweep_id: str) -> Path:
        """Return the folder of one sweep: its lock and logs, and its checkpoints if no store is set."""
        return self.root / "sweeps" / sweep_id

    def sending_lock(self, sweep_id: str) -> Path:
        """Lock of the process that sends the messages of one sweep to MLflow."""
        return self.root / "sending" / f"{sweep_id}.lock"

    @property
    def tracking_uri(self) -> str:
        """URI of MLflow's tracking store: `MLFLOW_TRACKING_URI` if it is set, else the store in the home."""
        return os.environ.get("MLFLOW_TRACKING_URI") or self.local_tracking_uri

    @property
    def local_tracking_uri(self) -> str:
        """URI of the home's own MLflow store."""
        return f"sqlite:///{self.mlflow_store}"

    @property
    def has_local_tracking(self) -> bool:
        """True if MLflow's store is the file in the home."""
        return self.tracking_uri == self.local_tracking_uri

    def create(self) -> Home:
        """Make the folder, and check that it can be written.

        Raises:
            HomeError: it cannot be made or written; the message names the folder and the reason.
        """
        if not self.root.is_absolute():
            raise HomeError(
                f"home {self.root}: HOME is not set, and the list of users has no folder for uid {os.getuid()}; choose "
                "a home with --home or MELTPOINT_HOME"
            )
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
