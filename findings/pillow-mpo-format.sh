#!/usr/bin/env bash
# Pillow 13.0.0: a file that only `formats=["JPEG"]` opens calls itself MPO, and `formats=["MPO"]` raises KeyError.
#
# Cameras and phones write MPO files (several pictures in one, with the suffix .jpg). `Image.open` with a list of allowed
# formats opens one if the list has JPEG, although the image's `format` is MPO afterwards. A list that names MPO fails
# with a KeyError, since no opener is registered under that name, whereas `Image.registered_extensions` has its suffix.
# So the format of an opened image cannot be used as an allowlist for the next call.
#
# Seen on 2026-11-29 (Python 3.11):
#   JPEG opens it as MPO with 2 frames
#   MPO raises KeyError
#   .mpo belongs to MPO
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import io

from PIL import Image

pictures = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
stream = io.BytesIO()
pictures[0].save(stream, "MPO", save_all=True, append_images=pictures[1:])
with Image.open(io.BytesIO(stream.getvalue()), formats=["JPEG"]) as image:
    opened = f"JPEG opens it as {image.format} with {image.n_frames} frames"
try:
    Image.open(io.BytesIO(stream.getvalue()), formats=["MPO"])
except KeyError as error:
    refused = f"MPO raises {type(error).__name__}"
seen = [opened, refused, f".mpo belongs to {Image.registered_extensions()['.mpo']}"]
print("\n".join(seen))
assert seen == ["JPEG opens it as MPO with 2 frames", "MPO raises KeyError", ".mpo belongs to MPO"], seen
PYTHON
echo unchanged
