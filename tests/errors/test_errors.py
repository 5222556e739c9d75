"""docs/errors.md shows the program's real output, and lacks no error of the program."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from service.settings import Home
from tests.errors.cases import Case, Section, run
from tests.errors.data import IMAGES
from tests.errors.folders import Folder
from tests.errors.page import PAGE, cell, every_case, read, render
from tests.errors.sites import Site, sites

AGAIN = "run `make errors-doc` and read what it changed"

ODD_CLASSES = ("an empty class folder", "a folder with one class", "10,000 labels, an image each")
UNSEEN = {
    "verdicts on the nodes of a cluster, in tests/service/upkeep/test_cluster_checkup.py": (
        "schema {}, this version needs {}, and MELTPOINT_MIGRATE is false",
        "mlflow rights",
        "{} refuses to write ({}): {}",
        "ask its admin for the right to create experiments and runs",
        "look at the node's log",
        "{} s, measured to {} s",
        "keep clocks equal by NTP, such as chrony, on that machine and on this one",
        "give data.source as a URI that every node reads, or put the same files at the same path everywhere",
        "other nodes have the digest {}: put the same files there",
        "{}: {} images of {} classes, digest {}",
        "Ray hands out {}, NVIDIA's driver lists {}, torch can use {}",
        "install NVIDIA's driver there, and start the container with the GPUs; `nvidia-smi` must list them",
        "start the node without --gpus, or with more of them",
        "{} free in {}",
        "make room there (meltpoint cache prune), or start the node with --home on a larger disk",
        "give a place that every node reaches: --store or MELTPOINT_STORE, such as s3://BUCKET/FOLDER",
        "correct MELTPOINT_STORE, or give this process the right to write",
        "give that node the right to read and to write",
        "use the same image on all nodes: here it is {}",
        "correct --ray or RAY_ADDRESS, and the token of this machine",
        "no process of Ray runs on this machine, by which it could join the cluster",
        "type the command where one runs, such as in the container of the drivers",
        "look at the log of the head",
        "cannot be asked: {}",
        "use the same image on all nodes, and look at that node's log",
    ),
    "deletions that fail, in tests/service/sweeps/test_deletions.py and tests/service/tracking/test_trackers.py": (
        "a service keeps the runs of a deleted sweep: leave out --mlflow and delete them on MLflow's pages, or type on "
        "the service's machine: meltpoint rm {} --mlflow --home DIR",
        "the runs of {} are in {}, but MLflow's address is now {}; set MLFLOW_TRACKING_URI={}, or leave out --mlflow "
        "to keep them",
        "MLflow at {} has not deleted the runs of {}: {}; the sweep is kept. Try again, or leave out --mlflow to "
        "keep its runs",
        "{} cannot be removed ({}: {}); {} is kept. Mend that, and type again: meltpoint rm {}",
        "{}; {} is kept. Mend that, and type again: meltpoint rm {}",
    ),
    "wrong calls between functions, which no input causes": (
        "must lie in {} ({})",
        "{} must lie in {} ({})",
        "freeze depth must be {}..{} ({})",
        'names must not contain "{}" ({})',
        "need probabilities (N, C >= 2) and labels (N,) ({}, {})",
        "probabilities must be finite, not negative, and sum to 1 in each row",
        "labels must be 0..{} ({}..{})",
        "images must be uint8 (B, 3, H, W) with one digest each: got {} {} and {} digests",
        "split {} of {} must hold images (0)",
        "checkpoint {} must be named epoch-<number>-<sha256>.safetensors",
        "checkpoint must hold a training's state",
        "checkpoint must hold tensors by name",
        "checkpoint must be of {}, but it is of another training",
        "checkpoint must be of a training of {} epochs: the schedule depends on it",
        "recipe {}, seed {} and data {}",
        "trial {} is {} in attempt {}; a result of attempt {} was refused",
        "trial {} is {}; it cannot become {}",
        "sweep {} is {}; it cannot become {}",
        "is a group; give its names: {}",
        "a point's number lies below the size",
        "the stages of backbone {} can be counted only by a program that imports it, such as `meltpoint plan` on your "
        "machine",
        "module {} has no attribute {}",
        "{} must be >= 1, not {}",
        "no limit",
        "high must be > low ({}, {})",
        "low must be > 0 and high > low ({}, {})",
        "count() has no end",
    ),
    "an MLflow store that another process makes or holds, tested with the code that makes it": (
        "another process has been making {} for {} s (it has the lock {}); end that process",
        "another process has been making {} for {} s; end that process",
        "{} is half made, and another process has it open ({}); end that process, such as an MLflow server",
    ),
    "stores of artifacts of a server, tested with a server": (
        "MLflow's store",
        "artifacts were written to {}, but MLflow's server at {} does not see them there; {}",
        "the package {} is not installed there",
        "that is a folder of the server's machine: mount it at this path where Meltpoint runs, or start the server "
        "with --artifacts-destination DIR in place of --default-artifact-root and --no-serve-artifacts, so that it "
        "writes artifacts by itself (an experiment keeps its place; a sweep with another `name` has another "
        "experiment)",
        "see the log of MLflow's server, and the limits of a proxy before it",
        "give that machine the credentials, and the package, that MLflow's client needs for {}://",
    ),
    "faults of a cluster or of a process of a service, tested with its drivers": (
        "the workers of this service did not start",
        "data.source: {} cannot be read on the node {}; give data.source as a URI that every node reads, or put the "
        "same files at the same path on every node",
        "{} (exit code {}): {}",
        "Ray ended",
        "it printed nothing",
        "NVIDIA's driver lists {}",
        "{}: its driver gives no answer",
        "its stages cannot be counted: {}",
        "the Ray cluster at {} cannot be joined: {}",
        "nothing answers at the Ray cluster's address {}: {}",
    ),
    "faults of a node, tested with its images, own code and weights": (
        "node {}: the weights {} of {} are not those of the sweep (digest {}, the sweep's {}); put the same file, or "
        "the same version of the package that brings them, on every node",
        "node {}: the module {} with the sweep's own code {}; install the same version on every node, as a wheel or in "
        "the image, or put it on each node's PYTHONPATH",
        "has other content (digest {}, the sweep's {})",
        "node {}: {} cannot be written ({}); start the node with MELTPOINT_NODE_HOME set to a folder that can",
        "node {} cannot prepare the images of {}: {}; give data.source as a URI that every node reads, or put the same "
        "files at the same path on every node",
        "node {}: the images of {} are not those of the sweep (digest {}, the sweep's {}): {}; give data.source as a "
        "URI that every node reads, or put the same files at the same path on every node",
        "node {} cannot decode the images of {}: {}",
        "{} {} here, {} in the sweep",
        "the names of the classes differ",
        "labels differ",
        "pixels differ, or the order of the images ({})",
        "the splits differ",
        "the resizing differs",
        "given up",
    ),
    "answers of a service, tested where it gives them": (
        "the idempotency key {} was used for another request; each request needs its own",
        "sweep {} is {}; it cannot be deleted before it ends",
        "{} is {}, but its driver is still sending MLflow its end; try again in a minute",
        "sweep {} is {}; it can no longer change",
        "{} was changed by somebody else just now; look at it and try again",
        "the token of this session is unknown here",
        "this token was revoked",
        "this token expired at {}",
        "the body is not UTF-8 (byte {})",
        "the body is not JSON: {} (line {}, column {})",
        "the body must be at most {} levels deep",
        "the body has half of a surrogate pair, which is no Unicode text",
        "the key {} stands twice in one object",
        "{} is too large for a number",
        "{} is no JSON number; numbers must be finite",
        "the body must be at most {} bytes ({})",
        "this needs a token: Authorization: Bearer TOKEN",
        "the Authorization header must be: Bearer TOKEN",
        "{} {}{}: this route of MLflow is closed here",
        "{} {}{}: only an admin may change what MLflow stores; {} is signed in as {}. Ask an admin, or move "
        "aliases with: meltpoint promote SWEEP",
        "the body is longer than {} bytes",
        "the service is not ready to start sweeps",
        "a page of another site sent this request",
        "a page of another site sent this form",
        "the form is longer than {} bytes",
        "this needs the role viewer or admin, which see the sweeps of all users; {} is signed in as {}: ask an admin",
        "this needs the role {}, and this token of {} gives only {}. Another token of {} may give it; an "
        "admin can create one: {}",
        "{} has the role {}, and a token gives no more. To give {} the role {} first: meltpoint user set {} --role {}",
        "no trial {}; to see those of a sweep: meltpoint trials SWEEP",
        "must have one of priority, slot_cap, assign",
        "priority must be an integer",
    ),
    "errors of contexts, and of clients and commands of a service, tested with them": (
        "url and token must be given together",
        "only one of context, url and home can be given",
        "a home has no users; sign in to a service with: meltpoint login URL",
        "the request must be at most {} bytes ({})",
        "the connection to {} broke before the answer came ({}); the request may have been carried out: "
        "look with `meltpoint status` before you repeat it",
        "{} sends a recipe that this version of Meltpoint cannot read: {}",
        "no sweep {}; to see the sweeps: meltpoint ls",
        "the token for {} must be one word, such as mp_1a2b3c_...; {}",
        "{}\nthe sweep may go on; to come back: {}",
        "{} confirms its best recipes: its search is over, and so is its budget",
        "the sweep was refused",
        "ray cluster",
        "correct --ray, or start the head of the cluster",
        "this home is served already {}",
        "by another process",
        "stop that service, or use --home",
    ),
    "an archive that changes while it is read, and a full disk, tested with the code that reads it": (
        "the archive ends early",
        "data.source: {} is unpacked below {}, which has too little room: make room there",
    ),
    "environments without a user's folder, with long paths or a full disk, tested in programs of their own": (
        "RAY_TMPDIR: must have at most {} bytes, since Ray makes Unix sockets below it, whose paths may have 107 ({}); "
        "choose a shorter folder, or unset it",
        "{} cannot be written: HOME is not set, and the list of users has no folder for uid {}; set HOME or "
        "XDG_CONFIG_HOME",
        "home {}: HOME is not set, and the list of users has no folder for uid {}; choose a home with --home or "
        "MELTPOINT_HOME",
        "no folder for sockets: {} cannot be written, or have paths of more than {} bytes; set TMPDIR to a folder with "
        "a shorter path that can be written",
        "a file could not be written whole, {} are free on the disk; make room, or choose another home",
    ),
    "clusters, in tests/service/tune/test_cluster_sources.py and tests/service/clusters/test_allotments.py": (
        "resources: {}; no such node came within {} minutes. Add one, or ask for less, and resume the sweep",
        "the GPUs here are {}",
    ),
    "sweeps of other versions, and own metrics that are never finite": (
        "the sweep file of {} cannot be read by this version: {}",
        "no epoch gave a finite {}: nothing can be kept",
    ),
    "a GPU whose memory one image, or its part of a batch, fills during a step": (
        "{} has too little memory for one image at a time: take a smaller backbone or image_size ({})",
        "{} has too little memory for {} images, its part of a batch: take more GPUs a trial (resources.gpu), or a "
        "smaller batch_size ({})",
    ),
    "lines of the report of `meltpoint doctor`, tested with its checks": (
        "run again with --debug for the traceback",
        "torch can use {} of these {}",
        "a driver for CUDA {}",
        "torch with CUDA",
        "choose another: --home or MELTPOINT_HOME",
        "move {} away, or put a copy from before in its place",
        "{} is damaged: {}",
        "{} was written by a newer version (schema {})",
        "start it, or correct MLFLOW_TRACKING_URI",
        "{} is no server of MLflow",
        "correct MLFLOW_TRACKING_URI",
        "refuses the user name and password, or the token",
        "asks who you are",
        "set {} and {}, or {}",
        "{} refuses requests (403): {}",
        "name its host in --allowed-hosts of MLflow's server, or ask its admin for the right to write",
        "{} answers {} to a search of experiments",
        "correct MLFLOW_TRACKING_URI, or see its log",
        "move {} away",
    ),
    "inputs that the sweep file's rules refuse earlier": (
        "backbone must be timm/<model>, torchvision/<model> of {}, or own code ({})",
        "backbone timm/{} cannot be cut into stages: {}",
        "its forward pass cannot be followed ({})",
        "weights must be pretrained, random, a .safetensors file, or a .pth file with {}<64 hex> ({})",
        "augment.policy: must be one of {} ({})",
        "device must be cpu, cuda or cuda:<index> ({})",
        "{} does not exist: this machine has {} usable GPUs",
    ),
    "messages of `make backbones`, for those who build the table": ("{}: must resize by {} ({})",),
    "stores of checkpoints that are away, full, without rights or without a driver, tested with the code of stores": (
        "the checkpoint store {} needs a package that is not installed: {}",
        "the checkpoint store {} does not exist: {}; make it first, or correct --store",
        "the checkpoint store {} cannot be {}: no space left ({})",
        "the checkpoint store {} cannot be {}: no rights ({}); give every machine credentials by environment variables "
        "or by files of the driver",
        "the checkpoint store {} cannot be used: it does not give back what was written",
        "the checkpoint store {} cannot be seen from the node {} ({}); give --store a place that the driver and every "
        "node reach, such as s3://BUCKET/FOLDER or a mounted folder",
        "checkpoint {} cannot be read: no such file",
        "the checkpoint store has not answered within {} s",
        "mend that, or correct MELTPOINT_STORE",
        "{} has another content",
        "{} of {} bytes arrived",
    ),
    "damaged checkpoints, tested with the code that reads them": (
        "checkpoint {} is torn or altered: its content has another SHA-256",
        "checkpoint {} cannot be read: {}",
        "checkpoint must hold what this recipe trains, but differs in {}",
        "checkpoint's {} must have shape {}",
    ),
    "rare moments: the disk fills between two checks, or only the last step diverges": (
        "decoded images need {} GiB below {}, {} GiB are free: make room or lower data.image_size",
        "predictions on {} are not finite",
        "{} was replaced",
    ),
    "errors of a file system, and of Ray, which waits minutes for an address that does not answer": (
        "{}: cannot be listed: {}",
        "the Ray cluster of RAY_ADDRESS, {}, cannot be joined",
    ),
    "ends of processes (Ray, a trial, the fork server), tested with the code that starts them": (
        "it ended at once",
        "the {}'s process died",
        "the {}'s process hung: no sign of life for {} s",
        "{}, and so did its fork server",
    ),
    "another driver, another version, other images or a full disk, tested with the code of each": (
        "{} is driven by another process on this machine; to follow it: meltpoint watch {}",
        "{} is driven by another process, whose lease runs out in {} s",
        "{} is driven in attempt {}; what attempt {} wrote was refused",
        "{}; this process has ended its trials",
        "start it, or correct MELTPOINT_LEDGER",
        "give one such as postgresql+psycopg://USER@HOST/NAME",
        "{} cannot be drawn again as it was: another version of Meltpoint or of Optuna began the sweep, or its ledger "
        "was changed",
        "{} cannot be resumed: its images or their splits have changed since it began",
        "the ledger cannot be written: {}; what was recorded is kept. Once the cause is mended, resume the sweep: "
        "meltpoint resume {}",
    ),
    "several metrics and earlier sweeps, tested with objectives and warm starts": (
        "must list at most {} sweeps",
        "must list each sweep once",
        "metric: no model of the space keeps the limits: {}{}; raise the limit, or add a smaller backbone to "
        "the space: meltpoint backbones",
        "{} {}; name a sweep with results: meltpoint ls",
        "has {} finished trials, none with a value of {}",
        "is {} and has no finished trial yet",
        "search.from: no recipe of {} lies in this space: {}",
        "{}, its best, has {}{}",
        "{}, its best, has a combination of values that the space does not draw",
        "{} has names that this version does not know",
    ),
    "what a registry or a champion answers, tested with promotions": (
        "the present version comes from the sweep of somebody else; an admin can roll it back: meltpoint "
        "rollback {} --alias {}",
        "{} is unconfirmed: {}. {}. To confirm it first: meltpoint confirm {}",
        "its only trial was compared with no other",
        "To promote it all the same, add --unconfirmed",
        "{} is unconfirmed: its confirmation came to no claim, and {}. {}. To see why it came to none: "
        "meltpoint confirm {}",
        "{} is unconfirmed: {}. {}. It cannot be confirmed now: {}",
        "it was not registered by Meltpoint",
        "its classes are {}",
        "it cannot be loaded: {}",
        "it cannot read the test images: {}",
        "its files cannot be read: {}",
        "the images, labels or splits of {} have changed since {} (digest {}, now {}): run a new sweep on them",
        "the weights {} of {} have changed since {}: its models cannot be made again",
        "{} has no test images",
        "another promotion or rollback is under way in this home; try again later",
        "{}@{} has no earlier version to go back to; its history: meltpoint models {}",
        "MLflow at {} did not move the alias: {}; nothing has changed",
        "MLflow at {} did not answer; see if the alias was moved with: meltpoint models {}",
    ),
    "answers of a service, its certificates and its ledger's address, tested where it gives them": (
        "{} was made by `meltpoint run` and belongs to no user of this service; confirm it where it ran",
        " on this service",
        "the certificate of {} is not trusted here: {}; name the file of the authority that signed it in the "
        "variable SSL_CERT_FILE",
        "certificate verify failed: ",
        "the ledger holds {} {}: a backup is restored into an empty home",
        "MELTPOINT_LEDGER is no URL of a database",
    ),
    "files for other programs, tested with exports": (
        "--format onnx needs the sweep's checkpoints: run it on the service's machine with --home, or take "
        "the registered model",
        "its only trial has failed",
        "an ONNX file needs packages that are not installed: pip install {}",
        "the ONNX file's probabilities must be the model's: they differ by {}",
        "the model cannot be expressed in ONNX: {}",
    ),
    "wrong calls of the decision's functions, or parts of other texts, tested with them": (
        "identities, scores and naive must have equal lengths ({})",
        "equal recipes must be merged: identities must differ",
        "val and confirm must have the same seeds ({}, {})",
        "the default and the finalists must be different recipes",
        "all recipes must be retrained with the same seeds and scored on the same images",
        "a finalist's rank must be 1 to {} ({})",
        "rank {} of the search must be recipe {}",
        "{} must have a row of images for each training ({} dimensions)",
        "{} must be finite",
        "top_k must be > 0 ({})",
        "seeds must be > 1, since one training does not show how much the seed changes ({})",
        "gate must be >= 0.5 and < 1 ({})",
        "tolerance must be >= 0 ({})",
        "confidence must be >= 0.5 and < 1 ({})",
        "need the same images for both ({}, {})",
        "not packed predictions",
        "not packed predictions: {}",
        "{} predictions for {} images",
    ),
    "sweeps that are or were confirmed, tested with confirmations": (
        "the predictions of {} on the {} images are damaged in the ledger; "
        "restore a backup with: meltpoint restore FILE",
        "{} has no predictions in the ledger, since an older version trained it and its folder is gone; "
        "start another sweep, which can be confirmed, with: {}",
        "no recipe besides the default keeps every limit of its metrics",
        "{} has no labels of its images in the ledger, since an older version ran it",
        "sweep {} is {}; it cannot be confirmed before it ends",
        "{} cannot be confirmed: the weights {} of {} have changed since its search (digest {}, now {}); "
        "restore them, or start another sweep with: {}",
        "{} has no confirmation; to confirm it: meltpoint confirm {}",
        "{} has no retrainings; to confirm it: meltpoint confirm {}",
        "--top and --pareto choose among the trials of the search, not with --phase confirm",
        "{} is {}: its search has ended, its confirmation has not. To go on with it: meltpoint confirm {}",
        "{} is {}: a confirmation of it is under way. To follow it: meltpoint watch {}",
    ),
}
"""Texts of errors that the page lacks, by reason."""


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def as_parameter(section: Section, case: Case) -> ParameterSet:
    marks = [pytest.mark.experiment(22)] if section is IMAGES or case.wrong in ODD_CLASSES else []
    return pytest.param(section, case, id=f"{section.title}: {case.wrong}", marks=marks)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder with a short path: messages cut long values, which pytest's own folders come close to."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.mark.parametrize(("section", "case"), [as_parameter(*pair) for pair in every_case()])
def test_the_page_shows_the_output_of_each_case(
    section: Section, case: Case, page: str, home: Home, short_folder: Path, request: pytest.FixtureRequest
) -> None:
    if section.ray:
        request.getfixturevalue("ray_once")
    outcome = run(case, Folder(short_folder, home.root))

    assert (outcome.exit_code, outcome.stdout) == (section.exit_code, ""), outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not outcome.stderr.startswith("unexpected ")
    assert cell(outcome.stderr) == read(page).get((section.title, case.wrong)), AGAIN


def test_the_page_has_the_cases_and_nothing_else(page: str) -> None:
    assert set(read(page)) == {(section.title, case.wrong) for section, case in every_case()}, AGAIN
    assert render(read(page)) == page, AGAIN


def test_every_error_of_the_program_is_on_the_page(page: str) -> None:
    printed = [_plain(row) for row in read(page).values()]
    excused = {text for texts in UNSEEN.values() for text in texts}
    missing = [site for site in sites() if site.text not in excused and not _printed(site, printed)]

    assert [f"{site.place}: {site.text}" for site in missing] == [], (
        "add a case, or give in UNSEEN the reason for its absence"
    )


def test_each_excused_text_is_an_error_that_the_page_lacks(page: str) -> None:
    printed = [_plain(row) for row in read(page).values()]
    lacking = {site.text for site in sites() if not _printed(site, printed)}
    generic = {"must lie in {} ({})", "{} must lie in {} ({})"}

    assert [text for texts in UNSEEN.values() for text in texts if text not in lacking | generic] == []


def _printed(site: Site, printed: list[str]) -> bool:
    return any(site.longest in text and site.pattern.search(text) for text in printed)


def _plain(row: str) -> str:
    """Return a row as the program words it, without the typed option that printed commands repeat."""
    return "\n".join(_unquoted(line) for line in row.split("<br>")).replace("\\|", "|").replace(" --home home", "")


def _unquoted(line: str) -> str:
    return line[3:-3] if line.startswith("`` ") else line.strip("`")
