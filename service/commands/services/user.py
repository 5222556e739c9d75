"""`meltpoint user add`, `user ls` and `user set`, for admins of a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.surroundings import open_service
from service.errors import UsageError
from service.formats import Format
from service.ledgers import Role
from service.terminals import ContextFlag, HomeFlag, Output, print_data, print_next, print_table, stderr

if TYPE_CHECKING:
    from service.schemas import UserModel

user = typer.Typer(no_args_is_help=True, help="Add, list and change the users of a service; admins only.")

_UserName = Annotated[str, typer.Argument(metavar="USER", help="The user's name.")]
_Weight = Annotated[
    float | None, typer.Option("--weight", min=0.001, max=1000, help="Share of the slots, relative to other users.")
]
_MaxSweeps = Annotated[
    str | None, typer.Option("--max-sweeps", metavar="N", help="Most sweeps under way at once, or none.")
]
_MaxSlots = Annotated[str | None, typer.Option("--max-slots", metavar="N", help="Most trials at once, or none.")]
_MaxTrials = Annotated[str | None, typer.Option("--max-trials", metavar="N", help="Most trials of one sweep, or none.")]
_GpuHours = Annotated[str | None, typer.Option("--gpu-hours", metavar="N", help="GPU hours in all, or none.")]
_OwnCode = Annotated[
    bool | None,
    typer.Option("--own-code/--no-own-code", help="Let the user's sweep files name functions of the user's own."),
]


@user.command("add")
def add(
    name: _UserName,
    role: Annotated[Role, typer.Option("--role", help="What the user may do.")] = Role.SUBMITTER,
    weight: _Weight = None,
    max_sweeps: _MaxSweeps = None,
    max_slots: _MaxSlots = None,
    max_trials: _MaxTrials = None,
    gpu_hours: _GpuHours = None,
    own_code: _OwnCode = None,
    output: Output = Format.TABLE,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Add a user, who then needs a token."""
    limits = _limits(weight, max_sweeps, max_slots, max_trials, gpu_hours, own_code)
    with open_service(context, home) as connection:
        from service.clients.accounts import Accounts

        added = Accounts(connection).create_user(name, role=role, **limits)
    _print([added], output)
    print_next("token", "create", "--user", added.name)


@user.command("ls")
def ls(output: Output = Format.TABLE, context: ContextFlag = None, home: HomeFlag = None) -> None:
    """List the users with their limits."""
    with open_service(context, home) as connection:
        from service.clients.accounts import Accounts

        users = Accounts(connection).users()
    _print(users, output)


@user.command("set")
def change(
    name: _UserName,
    role: Annotated[Role | None, typer.Option("--role", help="What the user may do.")] = None,
    weight: _Weight = None,
    max_sweeps: _MaxSweeps = None,
    max_slots: _MaxSlots = None,
    max_trials: _MaxTrials = None,
    gpu_hours: _GpuHours = None,
    own_code: _OwnCode = None,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Give the user all rights back, or take them.")
    ] = None,
    output: Output = Format.TABLE,
    context: ContextFlag = None,
    home: HomeFlag = None,
) -> None:
    """Change a user's role or limits; `none` removes a limit."""
    changes = _limits(weight, max_sweeps, max_slots, max_trials, gpu_hours, own_code)
    if role is not None:
        changes["role"] = role.value
    if enable is not None:
        changes["disabled"] = not enable
    if not changes:
        raise UsageError("nothing to change: give --role, a limit, --enable or --disable")
    with open_service(context, home) as connection:
        from service.clients.accounts import Accounts

        changed = Accounts(connection).change_user(name, **changes)
    _print([changed], output)
    stderr().print(f"changed {changed.name}", markup=False)


def _limits(
    weight: float | None,
    max_sweeps: str | None,
    max_slots: str | None,
    max_trials: str | None,
    gpu_hours: str | None,
    own_code: bool | None,
) -> dict[str, Any]:
    """Return the limits that were given; `none` becomes None, which removes a limit."""
    limits: dict[str, Any] = {
        "max_sweeps": _number("--max-sweeps", max_sweeps),
        "max_slots": _number("--max-slots", max_slots),
        "max_trials": _number("--max-trials", max_trials),
        "gpu_hours": _number("--gpu-hours", gpu_hours, whole=False),
    }
    given = {"max_sweeps": max_sweeps, "max_slots": max_slots, "max_trials": max_trials, "gpu_hours": gpu_hours}
    limits = {name: value for name, value in limits.items() if given[name] is not None}
    if weight is not None:
        limits["weight"] = weight
    if own_code is not None:
        limits["own_code"] = own_code
    return limits


def _number(option: str, text: str | None, *, whole: bool = True) -> float | None:
    if text is None or text == "none":
        return None
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = -1
    if not (1 if whole else 0) <= value <= 1_000_000:
        raise UsageError(
            f"{option} must be a {'whole number from 1' if whole else 'number from 0'} to 1,000,000, or none ({text})"
        )
    return value


def _print(users: list[UserModel], form: Format) -> None:
    if form is not Format.TABLE:
        print_data([entry.model_dump(mode="json") for entry in users], form)
        return
    rows = [
        [
            *(entry.name, entry.role.value, f"{entry.weight:g}"),
            *("" if limit is None else f"{limit:g}" for limit in (entry.max_sweeps, entry.max_slots, entry.max_trials)),
            "" if entry.gpu_hours is None else f"{entry.gpu_seconds_used / 3600:.1f} of {entry.gpu_hours:g}",
            ", ".join(["own code"] * entry.own_code + ["disabled"] * (entry.disabled_at is not None)),
        ]
        for entry in users
    ]
    print_table(["user", "role", "weight", "sweeps", "slots", "trials", "GPU hours", ""], rows)
