"""Errors of the service; each message is complete and meant for a user."""

from __future__ import annotations

from search_spaces import MeltpointError


class UsageError(MeltpointError):
    """A command or an option that cannot be carried out as it was typed."""


class HomeError(MeltpointError):
    """The home folder cannot be used."""


class LedgerError(MeltpointError):
    """The ledger cannot be read or written, or has a newer schema."""


class NotFoundError(MeltpointError):
    """There is no such thing (HTTP 404); subclasses name the kind of thing."""


class SweepNotFoundError(NotFoundError):
    """No sweep, or more than one, goes by that reference."""


class NoSweepsError(SweepNotFoundError):
    """There are no sweeps at all."""


class TrialNotFoundError(NotFoundError):
    """No trial has that id."""


class UserNotFoundError(NotFoundError):
    """No user has that name."""


class TokenNotFoundError(NotFoundError):
    """No token has that id, or it belongs to another user."""


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


class ConfirmationError(MeltpointError):
    """A sweep cannot be confirmed: something that the decision needs is not there."""


class ResourcesError(MeltpointError):
    """The machine lacks resources that a trial asks for."""


class ClusterError(MeltpointError):
    """Ray cannot be started, or the cluster cannot be joined."""


class TrackingError(MeltpointError):
    """MLflow refused a request, or could not be reached."""


class ArtifactError(TrackingError):
    """A file cannot be written to the place where MLflow keeps artifacts; MLflow's server may take the rest."""


class ConflictError(MeltpointError):
    """A request contradicts what is stored, such as the same idempotency key with another body (HTTP 409)."""


class QuotaError(MeltpointError):
    """A user has used up a quota (HTTP 429).

    Args:
        message: which quota, and its limit.
        retry_after: seconds after which the request may be tried again.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnauthenticatedError(MeltpointError):
    """A request carries no token, or a token that is unknown, expired or revoked (HTTP 401)."""


class ForbiddenError(MeltpointError):
    """The role of the user, or of the token, does not allow the request (HTTP 403)."""


class TooLargeError(MeltpointError):
    """A request is larger than the service accepts (HTTP 413)."""


class UnavailableError(MeltpointError):
    """A part of the service that the request needs does not run (HTTP 503)."""


class StartingError(UnavailableError):
    """A part of the service starts just now; the same request can be sent again soon (HTTP 503)."""


class ServiceError(MeltpointError):
    """The service refused a request, or could not be reached; the message gives its answer."""
