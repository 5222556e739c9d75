"""A registered model behind `mlflow models serve`, in an environment with mlflow and torch and none of our packages."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from PIL import Image

from search_spaces import parse_spec
from service.runs.runner import Outcome
from service.settings import Home
from tests.serving_environments import make_environment
from trainables.datasets import ImageTable
from trainables.datasets.images import decode_image
from trainables.stores.prepared import PreparedData, prepare_data, read_table

pytestmark = pytest.mark.slow

CLIENT = Path(__file__).parents[2] / "examples" / "serving" / "classify.py"


@pytest.fixture(scope="module")
def server(finished_sweep: Outcome, home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server of the sweep's candidate."""
    folder = tmp_path_factory.mktemp("serving")
    python = make_environment(folder / "environment", ["torch", "numpy", "mlflow"])
    assert finished_sweep.sweep.registered is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MELTPOINT"))}
    variables |= {
        "MLFLOW_TRACKING_URI": home.tracking_uri,
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    registered = finished_sweep.sweep.registered  # other tests move the alias of the shared sweep
    uri = f"models:/{registered['model']}/{registered['version']}"
    serve = ["models", "serve", "-m", uri, "--env-manager", "local", "-p", str(port)]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [python, "-m", "mlflow", *serve], cwd=folder, env=variables, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _await_ping(f"http://127.0.0.1:{port}/ping", process, folder / "log.txt")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _await_ping(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        else:
            return


@pytest.fixture(scope="module")
def table(finished_sweep: Outcome, home: Home) -> ImageTable:
    spec = parse_spec(finished_sweep.sweep.spec_text, file=finished_sweep.sweep.spec_file)
    return read_table(spec.data, base_dir=Path(spec.file).parent, root=home.data)


@pytest.fixture(scope="module")
def data(finished_sweep: Outcome, home: Home) -> PreparedData:
    spec = parse_spec(finished_sweep.sweep.spec_text, file=finished_sweep.sweep.spec_file)
    return prepare_data(spec.data, base_dir=Path(spec.file).parent, root=home.data)


def _pixels(path: Path) -> list[Any]:
    pixels: list[Any] = np.asarray(Image.open(path).convert("RGB")).tolist()
    return pixels


def _ask(server: str, inputs: Any) -> tuple[int, Any]:
    """Return the status and the answer to a request with these inputs."""
    body = json.dumps({"inputs": inputs}).encode()
    request = urllib.request.Request(f"{server}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)["predictions"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_photos_sent_by_curl_are_classified_as_often_right_as_the_ledger_says(
    server: str, finished_sweep: Outcome, table: ImageTable, data: PreparedData, tmp_path: Path
) -> None:
    rows = data.splits["test"]
    files = [table.images[row] for row in rows]
    (tmp_path / "request.json").write_text(json.dumps({"inputs": [_pixels(Path(str(file))) for file in files]}))
    curl = ["curl", "--silent", "--fail", f"{server}/invocations", "-H", "Content-Type: application/json"]
    answer = subprocess.run([*curl, "--data-binary", f"@{tmp_path / 'request.json'}"], capture_output=True, check=True)
    probabilities = np.array(json.loads(answer.stdout)["predictions"])
    correct = int((probabilities.argmax(axis=1) == data.labels[rows]).sum())
    best = finished_sweep.board.best
    assert best is not None
    accuracy = finished_sweep.board.metrics(best)["test/accuracy"]
    assert accuracy is not None
    assert correct == round(accuracy * len(rows))
    assert correct / len(rows) == accuracy


def test_a_photo_of_any_size_is_resized_like_the_training_images(
    server: str, finished_sweep: Outcome, table: ImageTable, tracks_home: None
) -> None:
    assert finished_sweep.sweep.registered is not None
    metadata = mlflow.models.get_model_info(finished_sweep.sweep.registered["uri"]).metadata
    assert metadata is not None
    large = Image.open(str(table.images[0])).convert("RGB").resize((157, 90))
    pixels = np.asarray(large)
    status, probabilities = _ask(server, [pixels.tolist()])
    assert status == 200
    resized = decode_image(pixels, metadata["image_size"], metadata["interpolation"])
    assert _ask(server, [resized.tolist()]) == (200, probabilities)


def test_pixels_outside_0_to_255_and_wrong_shapes_are_refused(server: str) -> None:
    for wrong in (300, -1):
        status, _ = _ask(server, np.full((1, 4, 4, 3), wrong).tolist())
        assert status == 400
    assert _ask(server, np.zeros((1, 4, 4)).tolist())[0] == 400


def test_fractions_of_pixels_are_refused_although_mlflow_cuts_them_off(server: str) -> None:
    generator = np.random.default_rng(0)
    scaled = generator.random((2, 8, 8, 3))
    for wrong in (scaled, scaled * 2 - 1, np.zeros((1, 8, 8, 3), dtype=int)):
        status, answer = _ask(server, wrong.tolist())
        assert status == 400
        assert "every pixel is 0 or 1: send whole numbers from 0 to 255" in answer
    black_and_grey = np.stack([np.zeros((8, 8, 3), dtype=int), np.full((8, 8, 3), 128)])
    status, probabilities = _ask(server, black_and_grey.tolist())
    assert (status, len(probabilities)) == (200, 2)


def test_the_client_without_our_packages_prints_the_class(server: str, table: ImageTable, tmp_path: Path) -> None:
    photo = str(table.images[0])
    black = tmp_path / "black.png"
    Image.new("RGB", (8, 8)).save(black)
    refused = subprocess.run([sys.executable, "-I", str(CLIENT), server, str(black)], capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{black}: RuntimeError: every pixel is 0 or 1: send whole numbers from 0 to 255")
    command = [sys.executable, "-I", str(CLIENT), server, photo, "--classes", "one,two,zero"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    _, ((*probabilities,),) = _ask(server, [_pixels(Path(photo))])
    best = int(np.argmax(probabilities))
    assert printed == f"{photo}\t{('one', 'two', 'zero')[best]}\t{probabilities[best]:.4f}\n"
