"""Settings: the order of their sources, the message for a wrong setting, and their effect on commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from search_spaces import SpecError
from service.formats import Format
from service.settings.settings import describe_unknown_variables, list_settings, read_settings
from service.settings.sources import user_file

MELTPOINT = Path(sys.executable).with_name("meltpoint")


@pytest.fixture(autouse=True)
def _project_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter an empty project folder, with a config folder of the user and no MELTPOINT_ variable."""
    for name in [name for name in os.environ if name.startswith("MELTPOINT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "meltpoint").mkdir(parents=True)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")


def refused() -> list[str]:
    with pytest.raises(SpecError) as caught:
        read_settings()
    return str(caught.value).splitlines()


def meltpoint(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "NO_COLOR": "1", **environment}
    return subprocess.run([MELTPOINT, *arguments], env=env, capture_output=True, text=True, timeout=60)


def test_settings_that_are_given_nowhere_are_defaults() -> None:
    assert read_settings() == {}
    assert {setting.name: setting.origin for setting in list_settings()} == dict.fromkeys(
        ("home", "ledger", "migrate", "store", "output", "port", "browser", "service", "token"), "default"
    )


def test_a_variable_wins_over_the_project_file_and_that_over_the_users_file(monkeypatch: pytest.MonkeyPatch) -> None:
    user_file().write_text('port = 1\noutput = "csv"\nbrowser = false\nhome = "mine"\n')
    Path("meltpoint.toml").write_text('port = 2\noutput = "yaml"\n')
    monkeypatch.setenv("MELTPOINT_PORT", "3")
    monkeypatch.setenv("MELTPOINT_HOME", "")
    settings = {setting.name: (setting.value, setting.origin) for setting in list_settings()}
    assert settings == {
        "home": (user_file().parent / "mine", str(user_file())),
        "ledger": ("", "default"),
        "migrate": (True, "default"),
        "store": ("", "default"),
        "output": (Format.YAML, "meltpoint.toml"),
        "port": (3, "MELTPOINT_PORT"),
        "browser": (False, str(user_file())),
        "service": ("", "default"),
        "token": (SecretStr(""), "default"),
    }


def test_a_store_in_a_file_begins_at_the_files_folder_and_a_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    user_file().write_text('store = "mine"\n')
    assert read_settings()["store"].value == str(user_file().parent / "mine")
    Path("meltpoint.toml").write_text('store = "s3://bucket/folder/"\n')
    assert read_settings()["store"].value == "s3://bucket/folder"
    monkeypatch.setenv("MELTPOINT_STORE", "here")
    assert read_settings()["store"].value == str(Path.cwd() / "here")


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("prot = 1", "meltpoint.toml prot: unknown key; did you mean port?"),
        ("port = 70000", "meltpoint.toml port: must be <= 65535 (70000)"),
        ('port = "http"', "meltpoint.toml port: must be an integer (http)"),
        ('output = "xml"', "meltpoint.toml output: must be one of table, json, yaml, csv (xml)"),
        (
            'store = "sftp://ada:secret@host/x"',
            "meltpoint.toml store: must hold no credentials; give them by the environment variables or the files that "
            "the driver of sftp:// reads, or by fsspec's own (FSSPEC_SFTP_..., ~/.config/fsspec) (sftp://...@host/x)",
        ),
        ('browser = "maybe"', "meltpoint.toml browser: must be true or false (maybe)"),
        (
            'token = "mp_1"',
            "meltpoint.toml token: must not stand in a file that others may read; "
            "use `meltpoint login`, or MELTPOINT_TOKEN",
        ),
        ("home = 3", "meltpoint.toml home: must be a path (3)"),
        ("port 1", "meltpoint.toml: is not TOML: Expected '=' after a key in a key/value pair (at line 1, column 6)"),
    ],
)
def test_a_wrong_file_is_refused_with_one_sentence(toml: str, message: str) -> None:
    Path("meltpoint.toml").write_text(toml)
    assert refused() == [message]


def test_a_wrong_variable_is_refused_by_name_and_an_unknown_one_gives_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MELTPOINT_PORT", "http")
    monkeypatch.setenv("MELTPOINT_HOEM", "/tmp")
    assert refused() == ["MELTPOINT_PORT: must be an integer (http)"]
    assert describe_unknown_variables() == ["MELTPOINT_HOEM is not a setting; did you mean MELTPOINT_HOME?"]


def test_settings_are_the_defaults_of_every_commands_options_and_a_flag_wins() -> None:
    Path("meltpoint.toml").write_text('output = "json"\nhome = "kept"\n')
    result = meltpoint("ls")
    assert (result.returncode, json.loads(result.stdout)) == (0, [])
    assert meltpoint("ls", "-o", "table").stdout == ""
    assert f"{Path.cwd()}/kept" in meltpoint("status", "last").stderr
    assert "/elsewhere" in meltpoint("status", "last", MELTPOINT_HOME="/elsewhere").stderr
    assert "/flag" in meltpoint("status", "last", "--home", "/flag", MELTPOINT_HOME="/elsewhere").stderr


def test_a_wrong_file_stops_commands_but_not_their_help() -> None:
    Path("meltpoint.toml").write_text("prot = 1")
    result = meltpoint("ls")
    assert (result.returncode, result.stderr) == (2, "meltpoint.toml prot: unknown key; did you mean port?\n")
    assert meltpoint("ls", "--help").returncode == meltpoint("--help").returncode == 0
    Path("meltpoint.toml").unlink()
    result = meltpoint("ls", MELTPOINT_HOEM="x", MELTPOINT_HOME=str(Path.cwd()))
    assert result.returncode == 0
    assert "MELTPOINT_HOEM is not a setting" in result.stderr


def test_a_command_without_settings_does_not_load_what_reads_them() -> None:
    code = "import sys, service.settings; sys.exit('pydantic_settings' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
