"""Contexts: the services that a user has signed in to, and which of them commands act on.

They stand with their tokens in `contexts.json` in the user's config folder, which only the user can read.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from search_spaces import did_you_mean
from service.errors import UsageError
from service.settings.homes import Home
from service.settings.sources import settings_files, user_file

__all__ = [
    "Context",
    "ContextBook",
    "check_url",
    "choose_context",
    "describe_overruling",
    "find_local_service",
    "is_name",
]

_SERVICE, _TOKEN = "MELTPOINT_SERVICE", "MELTPOINT_TOKEN"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_HOMES_SERVICE: Final = "this home's service"


@dataclass(frozen=True, kw_only=True)
class Context:
    """A service that commands may act on.

    origin: the option, variable or file that chose it. renewal: what a user does if the service does not take the
    token; empty for a token that `meltpoint login` has stored.
    """

    name: str
    url: str
    token: str = field(repr=False)
    origin: str = ""
    renewal: str = ""

    @property
    def is_loopback(self) -> bool:
        """True if the service is on this machine, so that a token crosses no network."""
        return urlsplit(self.url).hostname in _LOOPBACK

    @property
    def is_encrypted(self) -> bool:
        """True if the connection is encrypted."""
        return self.url.startswith("https://")

    @property
    def title(self) -> str:
        """The service with a noun, such as `the service lab (https://lab.example)`, for the start of a sentence."""
        return str(self) if self.name == _HOMES_SERVICE else f"the service {self}"

    @property
    def way_to_renew(self) -> str:
        """The words that tell a user how to renew a token that the service does not take."""
        return self.renewal or f"sign in with another token: meltpoint login {self.url}"

    def __str__(self) -> str:
        return self.name if self.name == self.url else f"{self.name} ({self.url})"


@dataclass(frozen=True, kw_only=True)
class ContextBook:
    """The contexts of a user by name, and the name of the current one."""

    contexts: Mapping[str, Context] = field(default_factory=dict)
    current: str | None = None

    @staticmethod
    def file() -> Path:
        """Return the path of the file, which need not exist."""
        return user_file().parent / "contexts.json"

    @classmethod
    def load(cls) -> ContextBook:
        """Read the user's file; a missing file is an empty book.

        Raises:
            UsageError: the file is damaged, or other users can read it.
        """
        file = cls.file()
        try:
            mode, text = file.stat().st_mode, file.read_text()
        except FileNotFoundError:
            return cls()
        if mode & 0o077:
            raise UsageError(f"{file} holds tokens, and other users can read it; run: chmod 600 {file}")
        try:
            data = json.loads(text)
            contexts = {
                name: Context(name=name, url=entry["url"], token=entry["token"])
                for name, entry in data["contexts"].items()
            }
            return cls(contexts=contexts, current=data["current"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{file} is damaged ({error}); remove it and sign in again with: meltpoint login URL"
            ) from None

    def save(self) -> None:
        """Write the user's file, whole or not at all, readable by the user only.

        Raises:
            UsageError: the user has no folder.
        """
        file = self.file()
        if not file.is_absolute():
            raise UsageError(
                f"{file} cannot be written: HOME is not set, and the list of users has no folder for uid "
                f"{os.getuid()}; set HOME or XDG_CONFIG_HOME"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        entries = {name: {"url": context.url, "token": context.token} for name, context in self.contexts.items()}
        descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=".contexts-")  # with mode 0600
        try:
            with os.fdopen(descriptor, "w") as out:
                json.dump({"current": self.current, "contexts": entries}, out, indent=1)
            Path(temporary).replace(file)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise

    def with_context(self, context: Context) -> ContextBook:
        """Return the book with this context, which becomes the current one."""
        return ContextBook(contexts={**self.contexts, context.name: context}, current=context.name)

    def with_current(self, name: str | None) -> ContextBook:
        """Return the book with another current context, or with none. Raises UsageError if there is no such name."""
        return replace(self, current=None if name is None else self.get(name).name)

    def without(self, name: str) -> ContextBook:
        """Return the book without a context. Raises UsageError if there is no such name."""
        self.get(name)
        rest = {other: context for other, context in self.contexts.items() if other != name}
        return ContextBook(contexts=rest, current=None if self.current == name else self.current)

    def get(self, name: str) -> Context:
        """Return the context of a name. Raises UsageError if there is none."""
        if name not in self.contexts:
            hint = did_you_mean(name, self.contexts) or "; there is none yet, sign in with: meltpoint login URL"
            raise UsageError(f"no context {name}{hint}")
        return self.contexts[name]

    def for_url(self, url: str) -> Context | None:
        """Return the context of a service's address, the current one first."""
        fitting = [context for context in self.contexts.values() if context.url == url]
        return min(fitting, key=lambda context: context.name != self.current, default=None)


def is_name(text: str) -> bool:
    """Return whether the text may name a context."""
    return _NAME.fullmatch(text) is not None


def check_url(text: str) -> str:
    """Return a service's address without a slash at its end; an address of this machine may lack `http://`.

    Raises:
        UsageError: the text is no address of a service.
    """
    url = text.strip()
    try:
        if "://" not in url:
            url = f"{'http' if urlsplit(f'//{url}').hostname in _LOOPBACK else 'https'}://{url}"
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        has_port, parts = False, urlsplit("")
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port or not plain:
        raise UsageError(
            f"a service's address must be like https://sweeps.example.org or http://127.0.0.1:8000 ({text})"
        )
    return url.rstrip("/")


def choose_context(name: str | None = None) -> Context | None:
    """Return the service that commands act on; None if they act on the home.

    The option `--context` wins, then the variable MELTPOINT_SERVICE, then `service` in meltpoint.toml or in the user's
    config file, then the context that `meltpoint context` chose. Each is a context's name or an address. The variable
    MELTPOINT_TOKEN counts only together with MELTPOINT_SERVICE: no project's file can send that token elsewhere.

    Raises:
        UsageError: the context is unknown, or there is no token for the address.
    """
    book = ContextBook.load()
    for text, origin in _choices(name):
        token = os.environ.get(_TOKEN, "").strip() if origin == _SERVICE else ""
        if text in book.contexts or (is_name(text) and "." not in text and text not in _LOOPBACK):
            context = replace(book.get(text), origin=origin)
        else:
            url = check_url(text)
            stored = book.for_url(url)
            if stored is None and not token:
                raise UsageError(f"no token for {url} (from {origin}); sign in with: meltpoint login {url}")
            context = replace(stored or Context(name=url, url=url, token=""), origin=origin)
        return replace(context, token=token, renewal=_renewal(context)) if token else context
    if book.current is None:
        return None
    return replace(book.get(book.current), origin=str(book.file()))


def describe_overruling(wanted: Context | None) -> str:
    """Return `; but ...` if a variable or a settings file chooses another service or token than the wanted one.

    wanted: the context that a command has just made the current one; None for the home.
    """
    try:
        present = choose_context()
    except UsageError as error:
        return f"; but {error}"
    if present is None or (wanted is not None and (present.url, present.token) == (wanted.url, wanted.token)):
        return ""
    if wanted is not None and present.url == wanted.url:
        return f"; but {_TOKEN if present.renewal else present.origin} is set, and its token is sent"
    return f"; but {present.origin} names {present}, and wins"


def find_local_service(home: Home) -> Context | None:
    """Return the service that runs on this home, with its admin's token; None if none runs, or others run it."""
    try:
        facts = json.loads(home.service_file.read_text())
        os.kill(int(facts["pid"]), 0)
        token = home.admin_token.read_text().strip()
        return Context(
            name=_HOMES_SERVICE,
            url=str(facts["url"]).rstrip("/"),
            token=token,
            origin=str(home.root),
            renewal=(
                f"it is the one in {home.admin_token}. If no admin has a token that works, a service writes a new one "
                "there when it starts: start it again"
            ),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _renewal(context: Context) -> str:
    """Return what to do about a wrong token in the variable. context: the service as it is without the variable."""
    rest = f"sign in with: meltpoint login {context.url}"
    if context.token:
        rest = "the token that `meltpoint login` has stored is used"
    return f"it is the one in the variable {_TOKEN}. Put another one there; or type `unset {_TOKEN}`, and {rest}"


def _choices(name: str | None) -> Iterator[tuple[str, str]]:
    if name:
        yield name, "--context"
    if variable := os.environ.get(_SERVICE, "").strip():
        yield variable, _SERVICE
    for file in settings_files():
        if service := _read_toml(file).get("service"):
            yield str(service), str(file)


def _read_toml(file: Path) -> Mapping[str, Any]:
    """Return the values of a settings file; `read_settings` names its errors."""
    try:
        return tomllib.loads(file.read_text())
    except (OSError, ValueError):
        return {}
