"""Settings: the defaults of options, from MELTPOINT_* variables, then ./meltpoint.toml, then the user's file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from search_spaces.documents import expand_user, problems_from
from search_spaces.errors import Problem, SpecError, did_you_mean
from service.formats import Format
from service.settings.homes import DEFAULT_HOME
from service.settings.sources import DEFAULT, PREFIX, Setting, settings_files
from trainables.checkpoint_stores import mask_place, read_place

__all__ = ["Settings", "describe_unknown_variables", "list_settings", "read_settings"]

_LEDGER: Final = (
    "URL of the ledger's database, such as postgresql+psycopg://user@host/meltpoint; empty: a file in the home"
)
_MIGRATE: Final = "whether a ledger of an older version is upgraded when it is opened, not by `meltpoint migrate` alone"
_STORE: Final = "place of checkpoints: a folder, or a URI such as s3://BUCKET/FOLDER; empty: the home"
_SERVICE: Final = "service that commands act on: the name of a context, or an address; empty: the home"
_VARIABLES_ONLY: Final = frozenset({"token"})


def _check_store(text: str) -> str:
    if text:
        read_place(text, Path.cwd())
    return text


class Settings(BaseModel):
    """All settings, each named like the option whose default it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Annotated[Path, Field(description="folder of ledger, MLflow store, decoded images")] = Path(DEFAULT_HOME)
    ledger: Annotated[str, Field(description=_LEDGER)] = ""
    migrate: Annotated[bool, Field(description=_MIGRATE)] = True
    store: Annotated[str, AfterValidator(_check_store), Field(description=_STORE)] = ""
    output: Annotated[Format, Field(description="format of what is printed on stdout")] = Format.TABLE
    port: Annotated[int, Field(ge=0, le=65535, description="port of `ui`; 0 takes a free one")] = 5000
    browser: Annotated[bool, Field(description="whether `ui` opens a browser")] = True
    service: Annotated[str, Field(description=_SERVICE)] = ""
    token: Annotated[SecretStr, Field(description="token for MELTPOINT_SERVICE; never in a file")] = SecretStr("")


class _Reading(BaseSettings, Settings):
    """The names of variables, for pydantic-settings; no instance is made."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True)


def read_settings() -> dict[str, Setting]:
    """Return the settings that a variable or a file gives, by name.

    Raises:
        SpecError: a setting is wrong; names the file or variable, key, rule and value of each.
    """
    raw: dict[str, Setting] = {}
    for setting in _unchecked_settings():
        raw.setdefault(setting.name, setting)
    try:
        valid = Settings.model_validate({name: setting.value for name, setting in raw.items()})
    except ValidationError as error:
        problems = problems_from(error, "", lambda _: Settings.model_fields)
        raise SpecError([_with_origin(problem, raw) for problem in problems]) from None
    return {name: _resolve_path(setting, getattr(valid, name)) for name, setting in raw.items()}


def list_settings() -> list[Setting]:
    """Return every setting as it is in force without flags. Raises the errors of `read_settings`."""
    settings = read_settings()
    defaults = Settings()
    return [
        settings.get(name) or Setting(name=name, value=getattr(defaults, name), origin=DEFAULT)
        for name in Settings.model_fields
    ]


def describe_unknown_variables() -> list[str]:
    """Return a sentence for each MELTPOINT_ variable that is no setting."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    unknown = [name for name in sorted(os.environ) if name.upper().startswith(PREFIX) and name.upper() not in known]
    return [f"{name} is not a setting{did_you_mean(name.upper(), known)}" for name in unknown]


def _unchecked_settings() -> Iterator[Setting]:
    """Yield every value of variables and files, the one that wins first."""
    for name, value in EnvSettingsSource(_Reading)().items():
        yield Setting(name=name, value=value, origin=PREFIX + name.upper())
    for file in settings_files():
        for name, value in _read_file(file).items():
            if name in _VARIABLES_ONLY:
                rule = "must not stand in a file that others may read; use `meltpoint login`, or MELTPOINT_TOKEN"
                raise SpecError([Problem(path=name, rule=rule, file=str(file))])
            yield Setting(name=name, value=value, origin=str(file))


def _read_file(file: Path) -> Mapping[str, Any]:
    try:
        return TomlConfigSettingsSource(_Reading, toml_file=file).toml_data
    except tomllib.TOMLDecodeError as error:
        rule = f"is not TOML: {error}"
    except UnicodeDecodeError as error:
        rule = f"cannot be read: byte {error.start} is not UTF-8"
    except OSError as error:
        rule = f"cannot be read: {error.strerror}"
    raise SpecError([Problem(path="", rule=rule, file=str(file))])


def _with_origin(problem: Problem, raw: Mapping[str, Setting]) -> Problem:
    origin = raw[problem.path.partition(".")[0]].origin
    path = "" if origin.startswith(PREFIX) else problem.path
    value = mask_place(problem.value) if isinstance(problem.value, str) else problem.value
    return Problem(path=path, rule=problem.rule, value=value, file=origin)


def _resolve_path(setting: Setting, value: Any) -> Setting:
    """Return the setting with an absolute path; a relative path in a file starts at the folder of the file."""
    folder = Path.cwd() if setting.origin.startswith(PREFIX) else Path(setting.origin).absolute().parent
    if isinstance(value, Path):
        value = folder / expand_user(value)
    elif setting.name == "store" and value:
        value = read_place(value, folder)
    return Setting(name=setting.name, value=value, origin=setting.origin)
