"""Entry of a process for MLflow's registry: `python -m service.registry`, see `processes`."""

import sys

from service.registry.processes import main

if __name__ == "__main__":
    main(sys.argv[1:])
