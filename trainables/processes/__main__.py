"""The process of a fork server: `python -m trainables.processes ADDRESS LIFE PRELOAD`."""

import os
import sys

from trainables.processes.server import serve

serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
os._exit(0)  # whoever waits for the server need not wait until torch is taken apart
