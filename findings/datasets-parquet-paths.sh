#!/usr/bin/env bash
# datasets 5.2.0: `Dataset.to_parquet` writes the paths of local images, and none of their bytes.
#
# A column of the type Image whose rows were given as paths is written as {bytes: null, path: "/absolute/path"}. The file
# describes itself as a set with images, loads on the machine that wrote it as long as the image files stay, and holds no
# image anywhere else. `push_to_hub` embeds the bytes by default, and so does `to_parquet` for images that were given as
# pixels. So a set made from a folder of photos and copied as Parquet arrives without its photos, and nothing says so.
#
# Seen on 2026-11-29 (Python 3.11):
#   from a path: holds no bytes, and a path
#   from pixels: holds bytes
#   moved away: FileNotFoundError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==13.0.0
cd "$folder"
export HF_HOME=$folder/home HF_HUB_OFFLINE=1
"$folder/venv/bin/python" - <<'PYTHON'
from pathlib import Path

import pyarrow.parquet
from datasets import Dataset, Image, disable_progress_bars, load_dataset
from PIL import Image as Picture

disable_progress_bars()
photo = Path("photo.png").absolute()
Picture.new("RGB", (8, 8), "red").save(photo)
seen = []
for given, file in ((str(photo), "path.parquet"), (Picture.new("RGB", (8, 8), "red"), "pixels.parquet")):
    Dataset.from_dict({"image": [given]}).cast_column("image", Image()).to_parquet(file)
    cell = pyarrow.parquet.read_table(file).column("image")[0].as_py()
    if cell["bytes"] is None:
        seen.append(f"from a path: holds no bytes, and {'a path' if cell['path'] == str(photo) else cell['path']}")
    else:
        seen.append("from pixels: holds bytes")
photo.rename("elsewhere.png")
try:
    load_dataset("parquet", data_files="path.parquet", split="train")[0]
except FileNotFoundError as error:
    seen.append(f"moved away: {type(error).__name__}")
print("\n".join(seen))
expected = ["from a path: holds no bytes, and a path", "from pixels: holds bytes", "moved away: FileNotFoundError"]
assert seen == expected, seen
PYTHON
echo unchanged
