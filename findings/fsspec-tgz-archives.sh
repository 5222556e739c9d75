#!/usr/bin/env bash
# fsspec 2026.9.0: `tar://` reads x.tar.gz, and raises ReadError for the same bytes under the name x.tgz.
#
# TarFileSystem takes the compression from the archive's suffix, and knows gz, bz2 and xz, but neither tgz, tbz2 nor txz, the
# usual short names of the same formats (https://github.com/fsspec/filesystem_spec/issues/1589 has .zstd). It then reads the compressed bytes as a plain tar file. tarfile itself, which does
# the reading, tells the compression from the content.
#
# Seen on 2026-11-29 (Python 3.11):
#   x.tar.gz: b'abc'
#   x.tgz: ReadError
#   tarfile on x.tgz: b'abc'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fsspec==2026.9.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import io
import tarfile
from pathlib import Path

import fsspec

with tarfile.open("x.tar.gz", "w:gz") as archive:
    member = tarfile.TarInfo("a.txt")
    member.size = 3
    archive.addfile(member, io.BytesIO(b"abc"))
Path("x.tgz").write_bytes(Path("x.tar.gz").read_bytes())
seen = []
for name in ("x.tar.gz", "x.tgz"):
    try:
        with fsspec.open(f"tar://a.txt::{Path(name).absolute()}") as stream:
            seen.append(f"{name}: {stream.read()!r}")
    except tarfile.TarError as error:
        seen.append(f"{name}: {type(error).__name__}")
with tarfile.open("x.tgz") as archive:
    seen.append(f"tarfile on x.tgz: {archive.extractfile('a.txt').read()!r}")
print("\n".join(seen))
assert seen == ["x.tar.gz: b'abc'", "x.tgz: ReadError", "tarfile on x.tgz: b'abc'"], seen
PYTHON
echo unchanged
