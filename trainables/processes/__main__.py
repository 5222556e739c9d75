"""The process of a fork server: `python -m trainables.processes ADDRESS LIFE PRELOAD`."""

import os
import sys

from trainables.processes.server import serve

serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
os._exit(0)  # skips the clean-up of torch, for which others would have to wait
