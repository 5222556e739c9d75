"""Errors of the machine, the home, the ledger, MLflow, and the command line."""

from __future__ import annotations

import socket
import sqlite3
import sys
from collections.abc import Callable, Sequence
from unittest import mock

from search_spaces import Goal
from service.clocks import now_ms
from service.ledgers import Ledger
from tests.errors.cases import Case, Section, code
from tests.errors.folders import Folder

THERE = {r"there are \d+$": "there are 2", r"(GPUs, there are) \d+": r"\1 0"}


def command(*arguments: str) -> Case:
    """Return the case of a command in an empty home."""
    return Case(code("meltpoint " + " ".join(arguments)), lambda _: [*arguments])


def at_home(*arguments: str, make: Callable[[Ledger], object] = id) -> Callable[[Folder], Sequence[str]]:
    """Return a function that prepares the command with a home in the folder, whose ledger `make` fills."""

    def made(folder: Folder) -> Sequence[str]:
        (folder.path / "home").mkdir()
        ledger = Ledger.open_file(folder.path / "home" / "ledger.db", clock=now_ms)
        make(ledger)
        ledger.close()
        return [*arguments, "--home", "home"]

    return made


def two_sweeps(ledger: Ledger) -> None:
    add_sweeps(ledger, "7f3a9c", "c4e01b")


def many_sweeps(ledger: Ledger) -> None:
    add_sweeps(ledger, *(f"{number:06x}" for number in range(40)))


def add_sweeps(ledger: Ledger, *ids: str) -> None:
    """Make a sweep with each id, without the `s-` in front."""
    for name in ids:
        with mock.patch("secrets.token_hex", return_value=name):
            ledger.sweeps.create(
                name="cells",
                spec_text="",
                spec_file="",
                metric="val/loss",
                goal=Goal.MINIMIZE,
                seed=0,
                data={},
                settings={},
            )


def newer_ledger(folder: Folder) -> Sequence[str]:
    arguments = at_home("ls")(folder)
    with sqlite3.connect(folder.path / "home" / "ledger.db") as database:
        database.execute("UPDATE meltpoint_schema SET version_num = '0099'")
    database.close()
    return arguments


def ledger_not_migrated(folder: Folder) -> Sequence[str]:
    folder.write("meltpoint.toml", "migrate = false\n")
    return ["serve", "--home", "home"]


def no_ledger(folder: Folder) -> Sequence[str]:
    folder.write("home/ledger.db", "a letter, not a database" * 100)
    return ["ls", "--home", "home"]


def forbidden_home(folder: Folder) -> Sequence[str]:
    folder.photos()
    (folder.path / "home").mkdir(mode=0o500)
    return [*folder.sweep("photos")[:-1], "home"]


def home_below_a_file(folder: Folder) -> Sequence[str]:
    folder.write("notes", "")
    return [*folder.sweep("digits")[:-1], "notes/home"]


def taken_port(folder: Folder) -> Sequence[str]:
    taken = folder.during.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return ["ui", "--port", str(taken.getsockname()[1]), "--no-browser", "--home", str(folder.home)]


def server(script: str, seconds: float = 90) -> Callable[[Folder], Sequence[str]]:
    """Run this script in place of MLflow's server."""

    def make(folder: Folder) -> Sequence[str]:
        program = folder.write("python", f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        folder.during.enter_context(mock.patch.object(sys, "executable", str(program)))
        folder.during.enter_context(mock.patch("service.tracking.servers.READY_SECONDS", seconds))
        return ["ui", "--port", "0", "--no-browser", "--home", "home"]

    return make


def ray_that_fails(folder: Folder) -> Sequence[str]:
    """Raise the error of Ray 2.60 on an overloaded machine, where it came after 30 seconds."""
    message = (
        "The current node timed out during startup. This could happen because some of the raylet failed to startup "
        "or the GCS has become overloaded."
    )
    folder.during.enter_context(mock.patch("ray.is_initialized", return_value=False))
    folder.during.enter_context(mock.patch("service.clusters.connections.RayHead", return_value=mock.Mock()))
    folder.during.enter_context(mock.patch("ray.init", side_effect=Exception(message)))
    return folder.sweep("digits")


def resources(line: str, space: str = "batch_size: 4") -> Case:
    asked = f"resources: {{{line}}}"
    lines = [asked, f"space: {{backbone: torchvision/resnet18, weights: random, {space}}}"]
    shown = asked if space == "batch_size: 4" else f"space: {{{space}}}"
    return Case(code(shown), lambda folder: folder.sweep("digits", *lines), THERE)


MACHINE = Section(
    "The machine",
    "`meltpoint run sweep.yaml`, on a machine with 2 cores and no GPU.",
    1,
    [
        resources("cpu: 900"),
        resources("gpu: 900"),
        resources("accelerator: H100"),
        resources("gpu: 0", "precision: fp16"),
        Case("a machine too busy for Ray", ray_that_fails),
    ],
    ray=True,
)

HOME = Section(
    "The home and its sweeps",
    "Every command that reads or writes the home: `--home DIR`, else `MELTPOINT_HOME`, else `~/.meltpoint`.",
    1,
    [
        Case("`meltpoint run sweep.yaml` with a home that may not be written", forbidden_home),
        Case("`meltpoint run sweep.yaml --home notes/home`, where `notes` is a file", home_below_a_file),
        Case("`meltpoint ls` with a ledger that is no database", no_ledger),
        Case("`meltpoint ls` with a ledger that a newer version wrote", newer_ledger),
        Case("`meltpoint serve` with the setting `migrate = false`, before `meltpoint migrate`", ledger_not_migrated),
        Case("`meltpoint status last` before the first sweep", lambda _: ["status", "last", "--home", "home"]),
        Case("`meltpoint trials last`, where no sweep was made yet", at_home("trials", "last")),
        Case("`meltpoint status colls`", at_home("status", "colls", make=two_sweeps)),
        Case(
            "`meltpoint status s-`, which two sweeps start with",
            at_home("status", "s-", make=two_sweeps),
            {r"s-\w{3,}": "s-7f3a9c"},
        ),
        Case(
            "`meltpoint status s-`, which forty sweeps start with",
            at_home("status", "s-", make=many_sweeps),
            {r"(s-\w{6}, )+\.\.\.": "s-7f3a9c, ..."},
        ),
        Case("`meltpoint ui`, and MLflow ends with a message", server("echo address in use >&2; exit 1")),
        Case("`meltpoint ui`, and MLflow ends without one", server("exit 1")),
        Case("`meltpoint ui`, and MLflow never answers", server("exec sleep 60", 0.4), {"within 0 s": "within 90 s"}),
        Case("`meltpoint ui --port 5000`, and another program has it", taken_port, {r"port \d+": "port 5000"}),
    ],
)

COMMAND_LINE = Section(
    "The command line",
    "Commands as typed. The usage of the command is printed above the message.",
    2,
    [
        command("rn", "sweep.yaml"),
        command("run"),
        command("run", "sweep.yaml", "again.yaml"),
        command("run", "sweep.yaml", "--fast"),
        command("validate", "sweep.yaml", "-o", "xml"),
        command("trials"),
        command("trials", "last", "--top", "0"),
        command("trials", "last", "--top", "ten"),
        command("ui", "--port", "99999"),
        command("doctor", "--cluster"),
        command("doctor", "--ray", "10.0.0.5:6379"),
        command("run", "absent.yaml"),
    ],
)


def assigned(setting: str, *lines: str) -> Case:
    """Return the case of `validate --set` with a valid file that ends with `lines`."""

    def make(folder: Folder) -> Sequence[str]:
        folder.write("sweep.yaml", "\n".join(["name: cells", "data: {source: digits}", *lines]) + "\n")
        return ["validate", "sweep.yaml", "--set", setting]

    shown = "" if lines == (SPACE,) else f", where the file has {code(lines[0])}"
    return Case(code(f"meltpoint validate sweep.yaml --set {setting}") + shown, make)


def with_file(name: str, content: str, *arguments: str) -> Callable[[Folder], Sequence[str]]:
    def make(folder: Folder) -> Sequence[str]:
        folder.write(name, content)
        return [*arguments]

    return make


def stored(place: str) -> Case:
    """Return the case of a sweep whose checkpoints are to lie in a place."""
    words = ("run", "sweep.yaml", "--store", place, "--home", "home")
    title = f"`meltpoint run sweep.yaml --store '{place}'`"
    text = "name: cells\ndata: {source: digits, image_size: 16}\nspace: {batch_size: 32}\n"
    return Case(title, with_file("sweep.yaml", text, *words))


SPACE = "space: {batch_size: 32}"
POINTS = "search: {algorithm: points, points: [{batch_size: 16}]}"

SETTINGS = Section(
    "`--set`, and settings",
    "`--set KEY=VALUE` beside a sweep file, and settings in a `meltpoint.toml` in the working folder.",
    2,
    [
        assigned("budget.trials", SPACE),
        assigned("budget.trils=64", SPACE),
        assigned("budget.trials=many", SPACE),
        assigned("budget.trials.most=3", "budget: {trials: 12}", SPACE),
        assigned("budget[0]=3", "budget: {trials: 12}", SPACE),
        assigned("search.points.batch_size=8", POINTS),
        assigned("search.points[3].batch_size=8", POINTS),
        assigned("search.points[0].batch_size=8", SPACE),
        Case("`meltpoint ls`, and `output = ` in `meltpoint.toml`", with_file("meltpoint.toml", "output = \n", "ls")),
        Case('`meltpoint ls`, and `outpt = "json"`', with_file("meltpoint.toml", 'outpt = "json"\n', "ls")),
        Case('`meltpoint ls`, and `output = "xml"`', with_file("meltpoint.toml", 'output = "xml"\n', "ls")),
        *(stored(place) for place in ("s3://ada:secret@bucket/x", "az://box/x?sig=secret", "s3://", "file://host/x")),
        *(stored(place) for place in (" ", "simplecache::s3://bucket/x", "sftp://[ada/x")),
    ],
)

_TWO_LABELS = "image,breed,colour\na.png,x,red\nb.png,x,blue\nc.png,y,red\n"


def odd_class(folder: Folder) -> Sequence[str]:
    folder.photos("nan", classes=("cat", "nan"))
    return ["manifest", "nan", "-f", "list.csv"]


def odd_name(folder: Folder) -> Sequence[str]:
    (folder.photos() / "cat" / "0.png").rename(folder.path / "photos" / "cat" / "\udcff.png")
    return ["manifest", "photos", "-f", "list.csv"]


NAMES = Section(
    "Names of backbones, spaces and files",
    "Commands as typed.",
    2,
    [
        command("backbones", "resnt"),
        command("backbones", "--family", "resnets"),
        command("explain", "droput"),
        command("spaces", "lectur7"),
        command("spaces", "lecture7", "--set", "budget.trials=3"),
        command("cache", "prune", "--older-than", "soon"),
        Case("`meltpoint init`, where `sweep.yaml` is already", with_file("sweep.yaml", "mine", "init")),
        Case(
            "`meltpoint init`, where `meltpoint.schema.json` is something else",
            with_file("meltpoint.schema.json", "mine", "init"),
        ),
        Case(
            "`meltpoint init --data list.csv`, with two columns that may be the label",
            with_file("list.csv", _TWO_LABELS, "init", "--data", "list.csv"),
        ),
        Case(
            "`meltpoint init --data list.csv --set data.image_size=32`",
            with_file("list.csv", _TWO_LABELS, "init", "--data", "list.csv", "--set", "data.image_size=32"),
        ),
        command("manifest", "phots", "-f", "list.csv"),
        command("manifest", "digits", "-f", "list.csv"),
        command("manifest", "phots", "-f", "list.txt"),
        Case("`meltpoint manifest nan -f list.csv`, with a class folder `nan`", odd_class),
        Case("`meltpoint manifest photos -f list.csv`, where a name is not UTF-8", odd_name),
    ],
)
