"""Ask a model behind `mlflow models serve` about photos. Needs Pillow and numpy, and nothing of Meltpoint.

    python classify.py http://127.0.0.1:5001 photo.jpg other.png --classes defective,intact

Each photo is sent by itself, upright, as RGB, in its own size: the model resizes it as its training images were.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.request

import numpy as np
from PIL import Image, ImageOps


def read_pixels(path: str) -> list[list[list[int]]]:
    """Return a photo as height x width x 3 whole numbers from 0 to 255; what is transparent becomes white."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:
            white = Image.new("RGBA", upright.size, "white")
            upright = Image.alpha_composite(white, upright.convert("RGBA"))
        pixels: list[list[list[int]]] = np.asarray(upright.convert("RGB")).tolist()
    return pixels


def classify(server: str, path: str) -> list[float]:
    """Return the probability of each class, in the order of the model's classes."""
    body = json.dumps({"inputs": [read_pixels(path)]}).encode()
    request = urllib.request.Request(f"{server.rstrip('/')}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            probabilities: list[float] = json.load(answer)["predictions"][0]
    except urllib.error.HTTPError as error:
        sys.exit(f"{path}: {explain_refusal(error.read())}")
    return probabilities


def explain_refusal(body: bytes) -> str:
    """Return why the server refused; a model's own words are the last line of the server's stack trace."""
    refusal = json.loads(body)
    return str(refusal.get("stack_trace", refusal["message"])).strip().splitlines()[-1]


def main() -> None:
    """Print the likeliest class of each photo, with its probability."""
    parser = argparse.ArgumentParser(description="Ask a served model about photos.")
    parser.add_argument("server", help="address of `mlflow models serve`")
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--classes", default="", help="names of the classes in the model's order, with commas between")
    arguments = parser.parse_args()
    names = arguments.classes.split(",") if arguments.classes else []
    for path in arguments.photos:
        probabilities = classify(arguments.server, path)
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        sys.stdout.write(f"{path}\t{names[best] if names else best}\t{probabilities[best]:.4f}\n")


if __name__ == "__main__":
    main()
