#!/usr/bin/env bash
# s3fs 2026.9.0: `makedirs` of a folder in a bucket that does not exist makes the bucket; writing a file there does not.
#
# Object stores have no folders, so `makedirs` looks harmless, and code that is to work with any file system of fsspec calls it
# before it writes. With a mistyped bucket it then creates the wrong one, if the user may, and everything seems to work. Without
# `makedirs` the write fails with FileNotFoundError, which names the mistake.
#
# Seen on 2026-11-30 (Python 3.11, against moto 5.2.5's server):
#   write: FileNotFoundError
#   makedirs: buckets ['mistyped']
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check s3fs==2026.9.0 "moto[s3,server]==5.2.5"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON' 2>/dev/null
import s3fs
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
host, port = server.get_host_and_port()
store = s3fs.S3FileSystem(key="any", secret="any", endpoint_url=f"http://{host}:{port}", use_listings_cache=False)
seen = []
try:
    store.pipe_file("mistyped/folder/file", b"abc")
    seen.append("write: worked")
except FileNotFoundError:
    seen.append("write: FileNotFoundError")
store.makedirs("mistyped/folder", exist_ok=True)
seen.append(f"makedirs: buckets {store.ls('')}")
server.stop()
print("\n".join(seen))
assert seen == ["write: FileNotFoundError", "makedirs: buckets ['mistyped']"], seen
PYTHON
echo unchanged
