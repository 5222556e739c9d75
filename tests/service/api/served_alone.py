"""Serve a home by uvicorn in a process of its own: prints the port, and ends when its input does."""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path

import uvicorn

from service.api import ApiSettings
from service.api.app import create_app
from service.settings import Home


def main() -> None:
    """Serve the home that the first argument names."""
    app = create_app(ApiSettings(home=Home(Path(sys.argv[1])), poll_seconds=0.02))
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2, lifespan="on"))

    def wait_for_the_end() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
