"""The names of commands, arguments and options: scripts of users depend on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.main import get_command

from service.commands.app import app

GOLDEN = Path(__file__).parents[2] / "golden" / "commands.json"


def described(command: Any) -> dict[str, Any]:
    """Return a command's parameters, and its commands if it is a group, as plain data."""
    parameters = {
        " ".join([*parameter.opts, *parameter.secondary_opts]): {
            "kind": parameter.param_type_name,
            "required": parameter.required,
            "default": None if parameter.default is None else str(parameter.default),
            "multiple": parameter.multiple,
        }
        for parameter in command.params
    }
    inner = {name: described(command) for name, command in sorted(getattr(command, "commands", {}).items())}
    return {"parameters": parameters} | ({"commands": inner} if inner else {})


def test_commands_and_their_options_are_what_they_were() -> None:
    """Fail on a change; for a deliberate change write `described` to the golden file, and a line to CHANGELOG.md."""
    assert described(get_command(app)) == json.loads(GOLDEN.read_text())
