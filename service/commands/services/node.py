"""`meltpoint node`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from service.settings import Home, prepare_environment
from service.terminals import HomeFlag, stderr


def node(
    ray_options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- RAY_OPTIONS]", help="Options that `ray start` gets besides, behind --."),
    ] = None,
    ray: Annotated[
        str | None, typer.Option("--ray", metavar="HOST:PORT", help="Join the Ray cluster whose head is there.")
    ] = None,
    head: Annotated[bool, typer.Option("--head", help="Be the head of a cluster.")] = False,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The head's port.")] = 6379,
    cpus: Annotated[
        int | None,
        typer.Option("--cpus", metavar="N", min=0, help="Cores for trials. Default: all; on a head none."),
    ] = None,
    gpus: Annotated[
        int | None, typer.Option("--gpus", metavar="N", min=0, help="GPUs for trials. Default: those that Ray finds.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The node's name. Default: the host's.")
    ] = None,
    node_ip: Annotated[
        str | None,
        typer.Option("--node-ip", metavar="ADDRESS", help="The address by which other nodes reach this one."),
    ] = None,
    grace: Annotated[
        str, typer.Option("--grace", metavar="TIME", help="Time that trials have to leave when the node ends.")
    ] = "25s",
    check: Annotated[
        bool, typer.Option("--check", help="Only say if the home's node is healthy; exit code 1 if it is not.")
    ] = False,
    home: HomeFlag = None,
) -> None:
    """Run a node of a cluster on this machine, as its head or for trials, until SIGTERM or Ctrl-C."""
    if check:
        from service.nodes import NodeHealth

        problem = NodeHealth.why_not_healthy(Home.resolve(home))
        stderr().print(problem or "the node is healthy", markup=False, soft_wrap=True)
        sys.exit(0 if problem is None else 1)
    from service.nodes import NodeOptions, NodeProcess

    options = NodeOptions.typed(
        head=head,
        ray=ray,
        port=port,
        cpus=cpus,
        gpus=gpus,
        name=name,
        node_ip=node_ip,
        grace=_seconds(grace),
        ray_options=tuple(ray_options or ()),
    )
    place = Home.resolve(home).create()
    prepare_environment(place, own_ray=False)
    sys.exit(NodeProcess(place, options).run())


def _seconds(text: str) -> float:
    from search_spaces.documents import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error} ({text})", param_hint="'--grace'") from None
