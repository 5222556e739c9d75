"""Objects in this process or in another, with the same calls of their methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Concatenate, Generic, ParamSpec, Protocol, TypeVar

__all__ = ["LocalObject", "ObjectHandle", "Pending"]

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Pending(Protocol[R_co]):
    """The result of a call that may still run."""

    def result(self) -> R_co:
        """Wait for the result and return it, or raise what the call raised."""


class ObjectHandle(ABC, Generic[T]):
    """Calls methods of one object of type `T`.

    A method is given as an attribute of the type, such as `handle.call(TorchTasks.check, "cpu")`, so that its arguments
    and result are checked. The type may be a protocol: the caller need not import what the object's class imports.

    A keyword argument `progress`, if a method has one, is a function; it is called in the calling process.

    Thread safety: one call at a time.
    """

    @abstractmethod
    def call(self, method: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the method and return its result.

        Raises:
            MeltpointError: as the method does.
            ForkedError: the method raised another error, or the object's process ended.
        """

    @abstractmethod
    def start(self, method: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> Pending[R]:
        """Start the call; its result must be taken before the next call. Takes no `progress`."""


class LocalObject(ObjectHandle[T]):
    """Calls an object of this process. Other errors of its methods are raised as they are."""

    def __init__(self, made: T) -> None:
        self._object = made

    def call(self, method: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the method here."""
        bound: Callable[..., R] = getattr(self._object, method.__name__)
        return bound(*args, **kwargs)

    def start(self, method: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> Pending[R]:
        """Call the method here, at once."""
        return _Done(self.call(method, *args, **kwargs))


class _Done(Generic[R]):
    def __init__(self, value: R) -> None:
        self._value = value

    def result(self) -> R:
        return self._value
