"""Settings: what options default to. A flag wins, then MELTPOINT_*, then ./meltpoint.toml, then the user's file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from search_spaces.documents import problems_from
from search_spaces.errors import Problem, SpecError, did_you_mean
from service.formats import Format
from service.settings.homes import DEFAULT_HOME
from service.settings.sources import PREFIX, PROJECT_FILE, user_file

__all__ = ["Setting", "Settings", "given", "sources", "unknown_variables"]

DEFAULT: Final = "default"
_LEDGER: Final = (
    "URL of the ledger's database, such as postgresql+psycopg://user@host/meltpoint; empty: a file in the home"
)


class Settings(BaseModel):
    """Every setting, named like the option whose default it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Annotated[Path, Field(description="folder of ledger, MLflow store, decoded images")] = Path(DEFAULT_HOME)
    ledger: Annotated[str, Field(description=_LEDGER)] = ""
    output: Annotated[Format, Field(description="format of what is printed on stdout")] = Format.TABLE
    port: Annotated[int, Field(ge=0, le=65535, description="port of `ui`; 0 takes a free one")] = 5000
    browser: Annotated[bool, Field(description="whether `ui` opens a browser")] = True


class _Reading(BaseSettings, Settings):
    """Tells pydantic-settings how variables are called; it is never made."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting in force, and where it was given: a variable's name, a file, or `default`."""

    name: str
    value: Any
    origin: str


def given() -> dict[str, Setting]:
    """The settings that were given somewhere, by name.

    Raises SpecError naming file or variable, key, rule and value of each that is wrong.
    """
    raw: dict[str, Setting] = {}
    for setting in _written():
        raw.setdefault(setting.name, setting)
    try:
        valid = Settings.model_validate({name: setting.value for name, setting in raw.items()})
    except ValidationError as error:
        problems = problems_from(error, "", lambda _: Settings.model_fields)
        raise SpecError([_at_its_origin(problem, raw) for problem in problems]) from None
    return {name: _resolved(setting, getattr(valid, name)) for name, setting in raw.items()}


def sources() -> list[Setting]:
    """Every setting as it is in force without flags, and where it comes from. Raises as `given`."""
    found = given()
    defaults = Settings()
    return [
        found.get(name) or Setting(name=name, value=getattr(defaults, name), origin=DEFAULT)
        for name in Settings.model_fields
    ]


def unknown_variables() -> list[str]:
    """A sentence for each MELTPOINT_ variable that nothing reads."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    unknown = [name for name in sorted(os.environ) if name.upper().startswith(PREFIX) and name.upper() not in known]
    return [f"{name} is not a setting{did_you_mean(name.upper(), known)}" for name in unknown]


def _written() -> Iterator[Setting]:
    """What is written anywhere, the strongest first, not yet judged."""
    for name, value in EnvSettingsSource(_Reading)().items():
        yield Setting(name=name, value=value, origin=PREFIX + name.upper())
    for file in (PROJECT_FILE, user_file()):
        for name, value in _read(file).items():
            yield Setting(name=name, value=value, origin=str(file))


def _read(file: Path) -> Mapping[str, Any]:
    try:
        return TomlConfigSettingsSource(_Reading, toml_file=file).toml_data
    except tomllib.TOMLDecodeError as error:
        rule = f"is not TOML: {error}"
    except UnicodeDecodeError as error:
        rule = f"cannot be read: byte {error.start} is not UTF-8"
    except OSError as error:
        rule = f"cannot be read: {error.strerror}"
    raise SpecError([Problem(path="", rule=rule, file=str(file))])


def _at_its_origin(problem: Problem, raw: Mapping[str, Setting]) -> Problem:
    origin = raw[problem.path.partition(".")[0]].origin
    path = "" if origin.startswith(PREFIX) else problem.path
    return Problem(path=path, rule=problem.rule, value=problem.value, file=origin)


def _resolved(setting: Setting, value: Any) -> Setting:
    """A relative path in a file starts at the file's folder."""
    if isinstance(value, Path):
        folder = Path.cwd() if setting.origin.startswith(PREFIX) else Path(setting.origin).absolute().parent
        value = folder / value.expanduser()
    return Setting(name=setting.name, value=value, origin=setting.origin)
