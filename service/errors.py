"""Errors of the service; each message is complete and meant for a user."""

from __future__ import annotations

from search_spaces import MeltpointError


class UsageError(MeltpointError):
    """A command or an option that cannot be carried out as it was typed."""


class HomeError(MeltpointError):
    """The home folder cannot be used."""


class LedgerError(MeltpointError):
    """The ledger cannot be read or written, or has a newer schema."""


class SweepNotFoundError(MeltpointError):
    """No sweep, or more than one, goes by that reference."""


class TrialNotFoundError(MeltpointError):
    """No trial has that id."""


class StaleAttemptError(MeltpointError):
    """A result arrived from an attempt that is no longer the trial's current one."""


class TransitionError(MeltpointError):
    """A state may not follow the present one."""


class BackupError(MeltpointError):
    """A backup cannot be written or read."""


class LeaseError(MeltpointError):
    """The lease of a sweep is held by another process."""


class ResumeError(MeltpointError):
    """A sweep cannot be resumed."""


class ResourcesError(MeltpointError):
    """The machine lacks resources that a trial asks for."""


class ClusterError(MeltpointError):
    """Ray cannot be started, or the cluster cannot be joined."""


class TrackingError(MeltpointError):
    """MLflow refused a request, or could not be reached."""
