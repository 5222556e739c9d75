"""Errors of the service; each message is complete and meant for a user."""

from __future__ import annotations

from search_spaces import MeltpointError


class UsageError(MeltpointError):
    """What was typed names nothing, or would destroy something."""


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
    """Another process drives the sweep."""


class ResumeError(MeltpointError):
    """A sweep cannot go on from where it was."""


class ResourcesError(MeltpointError):
    """The machine does not have what a trial asks for."""


class ClusterError(MeltpointError):
    """Ray cannot be started, or the cluster cannot be joined."""


class TrackingError(MeltpointError):
    """MLflow refused or could not be reached."""
