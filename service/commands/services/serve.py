"""`meltpoint serve`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from service.commands.services.options import ServeOptions, ServiceRole
from service.commands.surroundings import make_home
from service.settings import Home
from service.terminals import HomeFlag, StoreFlag, print_table, stderr

_STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}


def serve(
    ctx: typer.Context,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen on; others than this machine's need TLS or a proxy.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    ledger: Annotated[
        str | None,
        typer.Option("--ledger", metavar="URL", help="The ledger's database. Default: MELTPOINT_LEDGER or the home."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="HOST:PORT", help="Join this Ray cluster. Default: a Ray of its own."),
    ] = None,
    join: Annotated[
        bool,
        typer.Option(
            "--join", help="Make this machine a node of that cluster, as its drivers need; it trains nothing."
        ),
    ] = False,
    mlflow: Annotated[
        str | None,
        typer.Option("--mlflow", metavar="URL", help="MLflow's server. Default: one of its own, behind /mlflow/."),
    ] = None,
    _store: StoreFlag = None,
    role: Annotated[
        ServiceRole, typer.Option("--role", help="Answer requests (api), drive sweeps (drivers), or both (all).")
    ] = ServiceRole.ALL,
    max_sweeps: Annotated[
        int | None,
        typer.Option(
            "--max-sweeps", metavar="N", min=1, help="Drive at most N sweeps at once; others wait. Default: 12."
        ),
    ] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy in front speaks TLS; believe its X-Forwarded headers.")
    ] = False,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its private key (PEM).")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what is missing; exit code 1 if anything is.")
    ] = False,
    home: HomeFlag = None,
) -> None:
    """Run the service: people submit sweeps to it and follow them, here or from their machines."""
    environment = dict(os.environ)
    _set_variables(ledger=ledger, ray=ray, mlflow=mlflow)
    place = Home.resolve(home)
    options = ServeOptions(
        role=role,
        host=host,
        port=port,
        ledger_url=place.ledger_url,
        ray=os.environ.get("RAY_ADDRESS") or None,
        join=join,
        max_sweeps=max_sweeps,
        behind_proxy=behind_proxy,
        tls_cert=tls_cert,
        tls_key=tls_key,
    )
    options.check()
    if check:
        sys.exit(_check(place, options, environment, home_from=_origin_of_home(ctx)))
    from service.commands.services.serving import Serving

    sys.exit(Serving(make_home(home), options).run())


def _set_variables(*, ledger: str | None, ray: str | None, mlflow: str | None) -> None:
    """Set the variables that the home, Ray and MLflow read; the processes that are started inherit them."""
    for name, value in (("MELTPOINT_LEDGER", ledger), ("RAY_ADDRESS", ray), ("MLFLOW_TRACKING_URI", mlflow)):
        if value:
            os.environ[name] = value


def _origin_of_home(ctx: typer.Context) -> str:
    """Return where the home comes from, as users write it, such as `--home` or `MELTPOINT_HOME`."""
    from service.settings.settings import list_settings

    source = ctx.get_parameter_source("home")
    if source is not None and source.name == "COMMANDLINE":
        return "--home"
    return next(setting.origin for setting in list_settings() if setting.name == "home")


def _check(home: Home, options: ServeOptions, environment: dict[str, str], *, home_from: str) -> int:
    """Print what was looked at, and what helps where something is missing; returns the exit code."""
    from service.upkeep import ServiceNeeds, Surroundings, examine_service

    surroundings = Surroundings(home=home, home_from=home_from, environment=environment)
    needs = ServiceNeeds(
        host=options.host,
        port=options.port,
        ray=options.ray,
        has_api=options.role.has_api,
        has_drivers=options.role.has_drivers,
    )
    findings = list(examine_service(surroundings, needs))
    rows = [[finding.level.value, finding.name, finding.text] for finding in findings]
    print_table(["", "what", "found"], rows)
    for finding in findings:
        if finding.advice:
            level = finding.level.value
            text = f"{level}: {finding.name}: {finding.advice}"
            stderr().print(text, style=_STYLES[level], markup=False, soft_wrap=True)
    is_ready = not any(finding.level.value == "problem" for finding in findings)
    if is_ready:
        stderr().print("the service can start here", style="green")
    return 0 if is_ready else 1
